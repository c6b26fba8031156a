"""A plan's prices as Stripe has them, and who pays which."""

from dataclasses import dataclass
from enum import Enum

from django.conf import settings
from django.db.models import Count
from django.db.models.fields.json import KT
from django.utils.html import format_html_join
from djstripe.models import Subscription

from billing.following import LIVE
from billing.models import Plan, PlanPrice
from common.money import format_money


class Synced(Enum):
    """Whether Stripe sells a plan as it is here; the value is for a list's column."""

    YES = "in line"
    BEHIND = "not in line"
    DEMO = "demo mode"
    NOT_SOLD = "not sold"


@dataclass(frozen=True, slots=True)
class Standing:
    synced: Synced
    sentence: str

    @property
    def label(self) -> str:
        return self.synced.value


def standing_of(plan: Plan) -> Standing:
    """How a plan stands at Stripe, by what was written down when it was synced last."""
    if not settings.ENABLE_PAYMENTS:
        return Standing(Synced.DEMO, "Payments are off: nothing is sold at Stripe.")
    sold = plan.for_sale and plan.price is not None
    active = PlanPrice.objects.filter(plan=plan, active=True).first()
    if not sold:
        if active is None:
            return Standing(Synced.NOT_SOLD, "It is not sold at Stripe.")
        return Standing(Synced.BEHIND, 'It is still sold at Stripe: press "Sync with Stripe".')
    if active is None or (active.amount, active.currency) != (plan.price, settings.CURRENCY):
        now = format_money(active.amount, active.currency) if active else "no price"
        return Standing(
            Synced.BEHIND,
            f'Stripe has {now}, so it can\'t be bought now: press "Sync with Stripe".',
        )
    return Standing(Synced.YES, "New subscribers pay this price.")


def subscribers_by_price(plan: Plan) -> dict[str, int]:
    """How many live subscriptions there are at each of a plan's prices, by Stripe's id."""
    rows = (
        Subscription.objects.filter(stripe_data__status__in=LIVE)
        .annotate(price=KT("stripe_data__items__data__0__price__id"))
        .filter(price__in=PlanPrice.objects.filter(plan=plan).values("stripe_id"))
        .order_by()
        .values_list("price")
        .annotate(Count("djstripe_id"))
    )
    return dict(rows)


def subscribers_at_other_prices(plan: Plan) -> int:
    """Who pays another price of the plan than the one it has now."""
    same = PlanPrice.objects.filter(plan=plan, amount=plan.price or 0, currency=settings.CURRENCY)
    current = set(same.values_list("stripe_id", flat=True))
    counted = subscribers_by_price(plan)
    return sum(number for price, number in counted.items() if price not in current)


def price_rows(plan: Plan) -> str:
    """A line for each price there is or was, the newest first, with its subscribers."""
    prices = PlanPrice.objects.filter(plan=plan).order_by("-active", "-pk")
    if not prices:
        return "none yet"
    counted = subscribers_by_price(plan)
    return format_html_join(
        "",
        '<div>{} a month, {}, {} subscribed <code class="fb-text">{}</code></div>',
        (
            (
                format_money(price.amount, price.currency),
                "for new subscribers" if price.active else "older",
                counted.get(price.stripe_id, 0),
                price.stripe_id,
            )
            for price in prices
        ),
    )
