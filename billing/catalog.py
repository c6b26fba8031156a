"""Plans as Stripe has them: a product each, and the prices it has or had.

``Catalog`` makes Stripe follow the plans. It can run again, and after it broke off anywhere: what
there is, is found by the product's metadata ``farebox_plan``, and by a price's product, amount,
currency and interval. A price is never changed, since whoever pays it goes on doing so; another
one is made, and the older archived, which closes it to new subscribers alone.
"""

import hashlib
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import transaction

from billing.gateway.client import api, asking
from billing.models import Plan, PlanPrice
from common.errors import Unavailable
from common.money import format_money

MARK = "farebox_plan"  # in the metadata of products and prices: the plan's slug
Json = dict[str, Any]


def price_of(plan: Plan) -> PlanPrice:
    """The price that new subscribers of a plan pay.

    Raises ``Unavailable`` when Stripe does not have it yet: the plan's price or ``CURRENCY`` was
    changed, and ``sync_plans`` has not run since.
    """
    found = PlanPrice.objects.filter(plan=plan, active=True, currency=settings.CURRENCY).first()
    if found is None or found.amount != plan.price:
        raise Unavailable(
            f"{plan.name} can't be bought right now: its price is being changed. The operator "
            "has to run 'bin/manage sync_plans'.",
            retry_after=60,
        )
    return found


def is_sold(plan: Plan) -> bool:
    """Whether somebody can subscribe to it."""
    return plan.for_sale and plan.price is not None


class Catalog:
    """One run. ``say`` takes a line for each thing done; with ``dry_run`` nothing is, and the
    lines tell what would be. Stripe is asked: not to be used inside a transaction."""

    def __init__(self, say: Callable[[str], None], *, dry_run: bool = False) -> None:
        self._say = say
        self._dry = dry_run
        self._products: dict[str, Json] = {}

    def sync(self) -> None:
        """Bring every plan in line. Raises ``StripeUnavailable`` and ``StripeRefused``."""
        self._products = self._ours()
        for plan in Plan.objects.order_by("id"):
            if is_sold(plan):
                self._sell(plan)
            else:
                self._withdraw(plan)

    def _ours(self) -> dict[str, Json]:
        """The products that are plans, by slug; of two, the one that we know or the older."""
        known = set(
            Plan.objects.exclude(stripe_product="").values_list("stripe_product", flat=True)
        )
        with asking("list products"):
            pages = api().v1.products.list({"limit": 100}).auto_paging_iter()
            every = [one.to_dict() for one in pages]
        found = [one for one in every if MARK in (one["metadata"] or {})]
        found.sort(key=lambda one: (one["id"] not in known, one["created"]))
        products: dict[str, Json] = {}
        for product in found:
            products.setdefault(product["metadata"][MARK], product)
        return products

    def _sell(self, plan: Plan) -> None:
        product = self._product(plan)
        if product is None:  # a dry run of a new plan
            self._say(f"plan {plan.slug}: price {_shown(plan)} a month would be created")
            return
        prices = self._prices(product)
        price = next((one for one in prices if one["active"] and _fits(one, plan)), None)
        if price is None:
            price = self._make_price(plan, product, len(prices))
            prices = [price, *prices] if price else prices
        if not self._dry:
            _keep(plan, prices, price)
        stale = [one for one in prices if one["active"] and one is not price]
        for old in stale:
            self._archive(plan, old)
        if price is None:
            return
        self._say(
            f"plan {plan.slug}: {_shown(plan)} a month is price {price['id']} of {product['id']}"
        )

    def _withdraw(self, plan: Plan) -> None:
        product = self._products.get(plan.slug)
        if product is None:
            if not self._dry:
                _keep(plan, [], None)
            return
        prices = self._prices(product)
        if not self._dry:
            _keep(plan, prices, None)
        for price in prices:
            if price["active"]:
                self._archive(plan, price)

    def _product(self, plan: Plan) -> Json | None:
        """The plan's product, made or brought in line; ``None`` where a dry run makes none."""
        wanted: Json = {"name": plan.name, "description": plan.description}
        product = self._products.get(plan.slug)
        if product is None:
            self._tell(f"plan {plan.slug}: product {{}}created", "")
            if self._dry:
                return None
            told = {name: value for name, value in wanted.items() if value}
            with asking("create a product"):
                product = (
                    api()
                    .v1.products.create(
                        {**told, "metadata": {MARK: plan.slug}},  # type: ignore[typeddict-item]
                        {"idempotency_key": _key("product", plan, plan.stripe_product)},
                    )
                    .to_dict()
                )
        else:
            wanted["active"] = True
            changed = {
                name: value for name, value in wanted.items() if (product.get(name) or "") != value
            }
            if changed:
                self._tell(
                    f"plan {plan.slug}: product {product['id']} {{}}updated", ", ".join(changed)
                )
                if not self._dry:
                    with asking("update a product"):
                        api().v1.products.update(product["id"], changed)  # type: ignore[arg-type]
        if not self._dry and plan.stripe_product != product["id"]:
            Plan.objects.filter(pk=plan.pk).update(stripe_product=product["id"])
        return product

    def _prices(self, product: Json) -> list[Json]:
        """Our prices of a product, archived ones too; those made by hand are not touched."""
        known = set(PlanPrice.objects.values_list("stripe_id", flat=True))
        with asking("list prices"):
            pages = api().v1.prices.list({"product": product["id"], "limit": 100})
            found = [one.to_dict() for one in pages.auto_paging_iter()]
        return [one for one in found if one["id"] in known or MARK in one["metadata"]]

    def _make_price(self, plan: Plan, product: Json, count: int) -> Json | None:
        self._tell(f"plan {plan.slug}: price {_shown(plan)} a month {{}}created", "")
        if self._dry:
            return None
        with asking("create a price"):
            return (
                api()
                .v1.prices.create(
                    {
                        "product": product["id"],
                        "currency": settings.CURRENCY,
                        "unit_amount": int(plan.price or 0),
                        "recurring": {"interval": "month"},
                        "metadata": {MARK: plan.slug},
                    },
                    {"idempotency_key": _key("price", plan, f"{product['id']} {count}")},
                )
                .to_dict()
            )

    def _archive(self, plan: Plan, price: Json) -> None:
        self._tell(
            f"plan {plan.slug}: price {price['id']} {{}}archived",
            "who pays it goes on paying it",
        )
        if not self._dry:
            with asking("archive a price"):
                api().v1.prices.update(price["id"], {"active": False})

    def _tell(self, line: str, why: str) -> None:
        said = line.format("would be " if self._dry else "")
        self._say(f"{said} ({why})" if why else said)


def _shown(plan: Plan) -> str:
    return format_money(plan.price or 0, settings.CURRENCY)


def _key(kind: str, plan: Plan, more: str) -> str:
    """Two runs at once ask for the same thing with the same key, and get one."""
    text = f"{plan.slug} {plan.name} {plan.description} {plan.price} {settings.CURRENCY} {more}"
    return f"{kind}:{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def _fits(price: Json, plan: Plan) -> bool:
    recurring = price.get("recurring") or {}
    return (
        price["currency"] == settings.CURRENCY
        and price["unit_amount"] == plan.price
        and recurring.get("interval") == "month"
        and recurring.get("interval_count") == 1
        and recurring.get("usage_type", "licensed") == "licensed"
    )


def _keep(plan: Plan, prices: list[Json], active: Json | None) -> None:
    """Write down whose prices these are; ``active`` is the one that new subscribers pay."""
    now = active["id"] if active else ""
    with transaction.atomic():
        Plan.objects.select_for_update(no_key=True).get(pk=plan.pk)  # of two runs, one at a time
        PlanPrice.objects.filter(plan=plan, active=True).exclude(stripe_id=now).update(active=False)
        for price in prices:
            if price["unit_amount"] is None:
                continue
            PlanPrice.objects.update_or_create(
                stripe_id=price["id"],
                defaults={"active": price["id"] == now},
                create_defaults={
                    "plan": plan,
                    "amount": price["unit_amount"],
                    "currency": price["currency"],
                    "active": price["id"] == now,
                },
            )
