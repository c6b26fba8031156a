"""The only place that writes ``Entitlement``.

Somebody's plan is what staff assigned, or what their subscription says: the best live one of
Stripe's, read from the mirror, else the demo mode's. With neither, the default plan holds, which is
no row. What staff assigned stands until staff take it back, or a subscription comes that was made
after it.

Everything that changes a user's row holds the lock of the user's own row, taken first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from djstripe.models import Subscription

from accounts import events
from accounts.models import User
from billing.gateway.values import instant
from billing.models import Customer, DemoSubscription, Entitlement, Plan, PlanPrice

log = structlog.get_logger(__name__)

Status = Entitlement.Status
Source = Entitlement.Source
# Others give no access: canceled, unpaid, paused, incomplete, incomplete_expired.
_STATUSES = {"active": Status.ACTIVE, "trialing": Status.TRIALING, "past_due": Status.PAST_DUE}
_COLUMNS = (
    "plan_id", "status", "source", "subscription", "period_start", "period_end", "trial_end",
    "cancel_at", "grace_until", "assigned_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Followed:
    """A live subscription, as an entitlement has it."""

    created: datetime
    row: Entitlement


def assign_plan(
    *,
    user: User,
    plan: Plan,
    status: str = Status.ACTIVE,
    period_end: datetime | None = None,
) -> Entitlement:
    """Give ``user`` a plan, in place of the one they have. For staff, and for the command line."""
    with transaction.atomic():
        _lock(user)
        row = Entitlement(
            user=user,
            plan=plan,
            status=status,
            source=Source.STAFF,
            period_end=period_end,
            assigned_at=timezone.now(),
        )
        _write(user, row)
    return row


def unassign(*, user: User) -> Entitlement:
    """Take back what staff assigned; a subscription is followed again, if there is one."""
    with transaction.atomic():
        _lock(user)
        Entitlement.objects.filter(user=user, source=Source.STAFF).delete()
        events.changed(user.pk)
        follow(user)
    return current(user)


def end(*, user: User) -> None:
    """Take a user's plan away, whosever it is; the default plan is left to them."""
    Entitlement.objects.filter(user=user).delete()
    events.changed(user.pk)


def current(user: User) -> Entitlement:
    """What ``user`` may do now; the default plan, unsaved, for somebody without a row."""
    found = Entitlement.objects.select_related("plan").filter(user=user).first()
    return found or Entitlement(user=user, plan=Plan.objects.get(is_default=True))


def follow(user: User) -> None:
    """Let the entitlement of ``user`` agree with their subscriptions as the mirror has them.

    Asks nobody, and may be called in any order and any number of times: whoever comes last reads
    what was kept last.
    """
    with transaction.atomic():
        _lock(user)
        found = Entitlement.objects.filter(user=user).first()
        best = _best(user)
        if found is not None and found.source == Source.STAFF:
            assigned = found.assigned_at
            if best is None or (assigned is not None and best.created <= assigned):
                return
        if best is not None:
            _write(user, best.row)
        elif found is not None:
            found.delete()
            events.changed(user.pk)


def lapse() -> int:
    """End every past due plan whose grace is over. Answers how many."""
    over = Entitlement.objects.filter(
        source__in=[Source.STRIPE, Source.DEMO],
        status=Status.PAST_DUE,
        grace_until__lte=timezone.now(),
    )
    users = list(User.objects.filter(pk__in=over.values("user")))
    for user in users:
        follow(user)
    return len(users)


def _lock(user: User) -> None:
    # no_key: rows that point to the user can still be written meanwhile.
    User.objects.select_for_update(no_key=True).filter(pk=user.pk).first()


def _write(user: User, row: Entitlement) -> None:
    """Keep ``row`` if it says anything new, and tell the user's sockets."""
    found = Entitlement.objects.filter(user=user).first()
    if found is None or any(getattr(found, name) != getattr(row, name) for name in _COLUMNS):
        row.save()
        events.changed(user.pk)


def _best(user: User) -> _Followed | None:
    """Stripe's before the demo mode's. Of several, one that is paid for before one that is not,
    then the dearest, then the latest."""
    customer = Customer.objects.filter(user=user, closing_at=None).first()
    found: list[tuple[bool, int, datetime, _Followed]] = []
    if customer is not None:
        rows = Subscription.objects.filter(
            customer=customer.stripe_id, stripe_data__status__in=list(_STATUSES)
        )
        for data in rows.values_list("stripe_data", flat=True):
            price = _price(data)
            one = _of_stripe(user, data, price) if price else None
            if one is not None and price is not None:
                paid = one.row.status != Status.PAST_DUE
                found.append((paid, price.amount, one.created, one))
    if found:
        return max(found, key=lambda entry: entry[:3])[3]
    return _of_demo(user)


def _price(data: Mapping[str, Any]) -> PlanPrice | None:
    """The price of ours that a subscription is for."""
    prices = [item["price"]["id"] for item in data["items"]["data"]]
    found = PlanPrice.objects.select_related("plan").filter(stripe_id__in=prices)
    price = found.order_by("-amount").first()
    if price is None:
        log.error("a subscription to no price of ours", subscription=data["id"], prices=prices)
    return price


def _of_stripe(user: User, data: Mapping[str, Any], price: PlanPrice) -> _Followed | None:
    """``None`` for one that gives no access: past due beyond its grace."""
    items = [item for item in data["items"]["data"] if item["price"]["id"] == price.stripe_id]
    start, end = (
        instant(items[0]["current_period_start"]),
        instant(items[0]["current_period_end"]),
    )
    created = instant(data["created"])
    assert start is not None
    assert created is not None
    grace_until = None
    if data["status"] == "past_due":
        grace_until = start + timedelta(days=settings.PAST_DUE_GRACE_DAYS)
        if grace_until <= timezone.now():
            return None
    row = Entitlement(
        user=user,
        plan=price.plan,
        status=_STATUSES[data["status"]],
        source=Source.STRIPE,
        subscription=data["id"],
        period_start=start,
        period_end=end,
        trial_end=instant(data["trial_end"]) if data["status"] == "trialing" else None,
        cancel_at=end if data["cancel_at_period_end"] else instant(data["cancel_at"]),
        grace_until=grace_until,
    )
    return _Followed(created, row)


def _of_demo(user: User) -> _Followed | None:
    demo = DemoSubscription.objects.filter(user=user, ended_at=None).first()
    if demo is None:
        return None
    trialing = demo.trial_end is not None and demo.trial_end > timezone.now()
    row = Entitlement(
        user=user,
        plan_id=demo.plan_id,
        status=Status.TRIALING if trialing else Status.ACTIVE,
        source=Source.DEMO,
        period_start=demo.period_start,
        period_end=demo.period_end,
        trial_end=demo.trial_end if trialing else None,
        cancel_at=demo.period_end if demo.cancel_at_period_end else None,
    )
    return _Followed(demo.created, row)
