"""What is known of somebody's subscription: at Stripe now, and what the account shows."""

from datetime import datetime
from typing import Any

from django.conf import settings
from djstripe.models import Subscription

from accounts.models import User
from billing import demo, entitlements
from billing.gateway.client import api, asking
from billing.gateway.values import instant, linked
from billing.models import Customer, DemoSubscription, Entitlement, Plan, PlanPrice
from common.money import format_credits, shown_credits
from ledger.models import Account

Json = dict[str, Any]
# Not yet begun, or over: neither stands in the way of another one.
NOT_LIVE = ("incomplete", "incomplete_expired", "canceled")


def at_stripe(customer: str) -> list[Json]:
    """All subscriptions a customer has and had, as Stripe has them now, newest first."""
    wanted: Any = {"customer": customer, "status": "all", "limit": 100}
    with asking("list subscriptions"):
        return [one.to_dict() for one in api().v1.subscriptions.list(wanted).auto_paging_iter()]


def is_live(subscription: Json) -> bool:
    """Whether it stands in the way of another: paused and unpaid ones do, they can go on."""
    return subscription["status"] not in NOT_LIVE


def show(user: User) -> Json:
    """What ``GET /api/billing/subscription`` answers."""
    now = entitlements.current(user)
    standing = now.pk is not None and not now._state.adding
    row = _mirrored(now) if standing else None
    own = demo.current(user) if standing and now.source == Entitlement.Source.DEMO else None
    next_plan = own.next_plan if own else scheduled_plan(row)
    return {
        "plan": {"slug": now.plan.slug, "name": now.plan.name},
        "status": now.status,
        "source": now.source if standing else None,
        "period_start": now.period_start,
        "period_end": now.period_end,
        "trial_end": now.trial_end,
        "cancel_at": now.cancel_at,
        "grace_until": now.grace_until,
        "ended_at": None if standing else ended_at(user),
        "price": _price(row, own),
        "scheduled_plan": next_plan.slug if next_plan else None,
        "wallet": wallet(user),
        "payments": "stripe" if settings.ENABLE_PAYMENTS else "demo",
    }


def wallet(user: User) -> Json:
    """Whether the wallet is frozen, what it owes (credits as a string), and why."""
    account = Account.objects.filter(owner=user, kind=Account.Kind.WALLET).only("owed").first()
    owed = account.owed if account else 0
    return {
        "frozen": owed > 0,
        "owed": format_credits(owed),
        "message": why_frozen(owed) if owed else None,
    }


def why_frozen(owed: int) -> str:
    """Why a wallet that owes ``owed`` microcredits is frozen, and what to do about it."""
    name = settings.CREDIT_NAME
    return (
        f"A refunded or disputed payment was already spent: {shown_credits(owed)} {name} are owed. "
        f"Buy {name} to settle it."
    )


def ended_at(user: User) -> datetime | None:
    """When the last subscription of somebody who has none now ended; ``None`` for who never had
    one."""
    ends = []
    if customer := Customer.objects.filter(user=user).first():
        for row in Subscription.objects.filter(customer=customer.stripe_id).only("stripe_data"):
            ends.append(instant(row.stripe_data.get("ended_at")))
    mine = DemoSubscription.objects.filter(user=user, ended_at__isnull=False)
    ends.extend(mine.values_list("ended_at", flat=True))
    return max((end for end in ends if end is not None), default=None)


def _mirrored(now: Entitlement) -> Json | None:
    row = Subscription.objects.filter(id=now.subscription).first() if now.subscription else None
    return dict(row.stripe_data) if row else None


def _price(row: Json | None, own: DemoSubscription | None) -> Json | None:
    """What is paid a month: an older price for whoever subscribed before it changed."""
    if own:
        return {"amount": own.amount, "currency": own.currency}
    for item in _items(row):
        price = item.get("price") or {}
        if price.get("unit_amount") is not None:
            return {"amount": price["unit_amount"], "currency": price["currency"]}
    return None


def scheduled_plan(row: Json | None) -> Plan | None:
    """The plan that takes over with the next period, by the schedule that the portal made. ``row``
    is a subscription as Stripe told it, its schedule expanded."""
    schedule = (row or {}).get("schedule")
    if not isinstance(schedule, dict):  # an id, where it was not expanded
        return None
    now = {linked(item.get("price")) for item in _items(row)}
    phases = sorted(schedule.get("phases") or [], key=lambda phase: phase["start_date"])
    current = (schedule.get("current_phase") or {}).get("start_date") or 0
    for phase in phases:
        if phase["start_date"] <= current:
            continue
        for item in phase.get("items") or []:
            price = linked(item.get("price"))
            plan = plan_of_price(price)
            if plan is not None and price not in now:
                return plan
    return None


def plan_of_price(stripe_id: str | None) -> Plan | None:
    """The plan that a price of Stripe's is or was one of."""
    found = PlanPrice.objects.select_related("plan").filter(stripe_id=stripe_id or "").first()
    return found.plan if found else None


def _items(row: Json | None) -> list[Json]:
    items: list[Json] = ((row or {}).get("items") or {}).get("data") or []
    return items
