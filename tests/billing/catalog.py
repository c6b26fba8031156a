"""The catalog in sync at the fake Stripe, in a tenth of the time that ``sync_plans`` takes.

The command runs once for each catalog of a test process. What it made, at the fake and here, is
kept, and put back for every further test that begins with the same plans and settings.
"""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db.models import F
from djstripe.models import WebhookEndpoint

from billing.models import Plan, PlanPrice, Setup
from tests.fakes.stripe.handle import FakeStripe

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class _Synced:
    """The fake's state, and our rows: plans' products by slug, prices with their plan's slug."""

    state: dict[str, Any]
    products: dict[str, str]
    prices: Rows
    setups: Rows
    endpoints: Rows


_synced: dict[Any, _Synced] = {}


def bring(fake: FakeStripe) -> None:
    """The fake holds the catalog and nothing else, and sends no webhook."""
    assert not PlanPrice.objects.exists()
    plans = {plan.slug: plan for plan in Plan.objects.all()}
    key = _key(fake, plans)
    if key in _synced:
        _put_back(fake, plans, _synced[key])
        return
    fake.reset()
    fake.pause()
    call_command("sync_plans", stdout=_Silent())
    _synced[key] = _Synced(
        state=fake.state(),
        products=dict(Plan.objects.values_list("slug", "stripe_product")),
        prices=[
            {name: value for name, value in row.items() if name not in ("id", "plan_id")}
            for row in PlanPrice.objects.annotate(slug=F("plan__slug")).values()
        ],
        setups=list(Setup.objects.values()),
        endpoints=[
            {name: value for name, value in row.items() if name != "djstripe_id"}
            for row in WebhookEndpoint.objects.values()
        ],
    )


def _key(fake: FakeStripe, plans: dict[str, Plan]) -> Any:
    """All that ``sync_plans`` goes by."""
    sold = [
        (plan.slug, plan.name, plan.description, plan.price, plan.for_sale, plan.stripe_product)
        for _slug, plan in sorted(plans.items())
    ]
    told = (settings.PUBLIC_URL, settings.CURRENCY, settings.SITE_NAME, settings.STRIPE_API_VERSION)
    return fake.url, *told, *sold


def _put_back(fake: FakeStripe, plans: dict[str, Plan], synced: _Synced) -> None:
    fake.reset(synced.state)
    for slug, product in synced.products.items():
        plans[slug].stripe_product = product
    Plan.objects.bulk_update(plans.values(), ["stripe_product"])
    PlanPrice.objects.bulk_create(
        PlanPrice(plan=plans[row["slug"]], **{k: v for k, v in row.items() if k != "slug"})
        for row in synced.prices
    )
    Setup.objects.bulk_create(Setup(**row) for row in synced.setups)
    WebhookEndpoint.objects.bulk_create(WebhookEndpoint(**row) for row in synced.endpoints)


class _Silent:
    def write(self, text: str) -> None:
        """Drop it."""
