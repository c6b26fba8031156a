"""The demo mode: buying on a local page, where nothing is paid, and plans that renew as Stripe's.

Everything here is marked as demo: orders, payments, grants and entitlements. No verb does anything
while payments are taken through Stripe (``ENABLE_PAYMENTS``), but that ``renew`` then ends the
demo's subscriptions with their periods.

Locks in fixed order: the user's row, which makes one user's changes come one after the other, then
the order's or the subscription's, the wallet last.
"""

import calendar
import uuid
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import IntegrityError, OperationalError, transaction
from django.utils import timezone

from accounts.models import User
from billing import entitlements
from billing.catalog import is_sold
from billing.customers import require_buyer
from billing.errors import AlreadySubscribed
from billing.models import DemoSubscription, Order, Plan
from billing.payments import grant_demo
from common.errors import BadInput, Conflict, FareboxError, NotFound
from common.money import MICRO
from ledger.models import Grant

log = structlog.get_logger(__name__)

State = Order.State
AT_ONCE = 200  # subscriptions that renew() reads at a time


class OrderEnded(Conflict):
    """The order was declined, replaced or ran out; a new one is made at the shop."""

    type, code = "invalid_request_error", "order_ended"


class NotSubscribed(Conflict):
    type, code = "invalid_request_error", "not_subscribed"


def order_of(order: uuid.UUID, user: User) -> Order:
    """A demo order of ``user``'s, to be shown or paid. Raises ``NotFound``."""
    found = Order.objects.select_related("plan").filter(pk=order, user=user, demo=True).first()
    if found is None or settings.ENABLE_PAYMENTS:
        raise NotFound("You have no such order.")
    return found


def pay(order: Order, user: User) -> Order:
    """Pay a demo order, for nothing: the plan or the credits are there at once. Paying it again
    changes nothing.

    Raises ``NotFound``, ``OrderEnded``, ``AlreadySubscribed``, and ``common.errors``'
    ``PermissionRefused`` for who can't buy.
    """
    require_buyer(user)
    with transaction.atomic():
        row = _locked(order, user)
        if row.state == State.PAID:
            return row
        if row.state != State.OPEN:
            raise OrderEnded("This order has ended; nothing was bought. Make a new one.")
        row.state, row.ended = State.PAID, timezone.now()
        row.save(update_fields=["state", "ended"])
        if row.plan is not None:
            _begin(row, row.plan, row.ended)
        else:
            assert row.quantity is not None, "an order of credits has a quantity"
            grant_demo(
                order=row, amount=row.quantity * MICRO, kind=Grant.Kind.PURCHASE, expires_at=None
            )
    return row


def decline(order: Order, user: User) -> Order:
    """What a declined card does: the order stays open, so that another card can pay it.

    Raises ``NotFound`` and ``OrderEnded``.
    """
    with transaction.atomic():
        row = _locked(order, user)
        if row.state != State.OPEN:
            raise OrderEnded("This order has ended.")
        row.failure = "The card was declined."
        row.save(update_fields=["failure"])
    return row


def _locked(order: Order, user: User) -> Order:
    order_of(order.pk, user)
    _lock(user)
    # The plan is joined, and stays unlocked.
    rows = Order.objects.select_for_update(of=("self",), no_key=True).select_related("plan")
    return rows.get(pk=order.pk)


def _lock(user: User) -> None:
    User.objects.select_for_update(no_key=True).get(pk=user.pk)


def current(user: User) -> DemoSubscription | None:
    """The subscription that ``user`` has now in the demo mode."""
    rows = DemoSubscription.objects.select_related("plan", "next_plan", "order", "user")
    return rows.filter(user=user, ended_at=None).first()


def is_subscribed(user: User) -> bool:
    """Whether ``user`` has a plan by the demo mode now."""
    return DemoSubscription.objects.filter(user=user, ended_at=None).exists()


def _begin(order: Order, plan: Plan, now: datetime) -> None:
    trial = timedelta(days=0)
    if not DemoSubscription.objects.filter(user=order.user).exists():  # one trial each
        trial = timedelta(days=plan.trial_days)
    anchor = now + trial
    row = DemoSubscription(
        user=order.user,
        plan=plan,
        order=order,
        amount=order.amount,
        currency=order.currency,
        anchor=anchor,
        period_start=now,
        period_end=anchor if trial else months_after(anchor, 1),
        trial_end=anchor if trial else None,
    )
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        raise AlreadySubscribed("You have a plan already; nothing was bought.") from None
    _follow(row, plan.trial_allowance if trial else plan.monthly_allowance)


def cancel(user: User) -> DemoSubscription:
    """End the subscription with its period; until then everything stays. Raises
    ``NotSubscribed``."""
    return _set(user, cancel_at_period_end=True, next_plan=None)


def resume(user: User) -> DemoSubscription:
    """Take a cancellation back. Raises ``NotSubscribed``."""
    return _set(user, cancel_at_period_end=False)


def keep_plan(user: User) -> DemoSubscription:
    """Forget the change of plan that was to come. Raises ``NotSubscribed``."""
    return _set(user, next_plan=None)


def _set(user: User, **changes: object) -> DemoSubscription:
    with transaction.atomic():
        row = _mine(user)
        for name, value in changes.items():
            setattr(row, name, value)
        row.save(update_fields=list(changes))
        _follow(row)
    return row


def change_plan(user: User, plan: Plan) -> DemoSubscription:
    """Another plan: a dearer one at once, with the rest of the period's share of what it gives
    more, as Stripe's proration does; a cheaper one from the next period on.

    Raises ``NotSubscribed``, and ``BadInput`` (``param`` plan) for one that is not for sale.
    """
    if not is_sold(plan) or plan.price is None:
        raise BadInput("plan: this one is not for sale.", param="plan")
    with transaction.atomic():
        row = _mine(user)
        granted = 0
        if plan.pk == row.plan_id:
            row.next_plan = None
        elif plan.price > row.amount:
            granted = _upgrade(row, plan, plan.price, timezone.now())
        else:
            row.next_plan = plan
        row.cancel_at_period_end = False
        row.save()
        _follow(row, granted)
    return row


def _upgrade(row: DemoSubscription, plan: Plan, price: int, now: datetime) -> int:
    """Answers the microcredits to grant. A trial ends by it, and the new plan's first month begins,
    as in Stripe's portal."""
    before = row.plan
    row.plan, row.amount, row.currency, row.next_plan = plan, price, settings.CURRENCY, None
    if row.trial_end and row.trial_end > now:
        row.trial_end = row.anchor = row.period_start = now
        row.period_end = months_after(now, 1)
        more = plan.monthly_allowance
    else:
        left = int((row.period_end - now).total_seconds())
        whole = int((row.period_end - row.period_start).total_seconds())
        more = (plan.monthly_allowance - before.monthly_allowance) * max(0, left) // whole
    row.number += 1
    return more


def _mine(user: User) -> DemoSubscription:
    if settings.ENABLE_PAYMENTS:
        raise NotSubscribed("This deployment takes payments through Stripe; use its portal.")
    _lock(user)
    row = current(user)
    if row is None:
        raise NotSubscribed("You have no plan to change; subscribe to one first.")
    return row


def end_now(user: User) -> bool:
    """End a demo subscription at once: its owner leaves, or staff ends it. Answers whether there
    was one."""
    with transaction.atomic():
        _lock(user)
        row = current(user)
        if row is None:
            return False
        _end(row, timezone.now())
    return True


def renew(now: datetime | None = None) -> int:
    """Take every subscription whose period is over to the period of ``now``, or end it.

    May run twice, late, and on several machines: each is looked at again under its user's lock.
    Whoever comes late grants for the period that runs now; what lay between has expired. Answers
    how many were taken.
    """
    moment, taken, last = now or timezone.now(), 0, 0
    due = DemoSubscription.objects.filter(ended_at=None, period_end__lte=moment).order_by("pk")
    while batch := list(due.filter(pk__gt=last).select_related("user")[:AT_ONCE]):
        for row in batch:
            try:
                taken += _renew_one(row.user, moment)
            except (OperationalError, FareboxError) as error:  # one does not keep up the others
                log.warning("a demo subscription is renewed by a later run", user=row.user_id,
                            error=type(error).__name__)  # fmt: skip
        last = batch[-1].pk
    return taken


def _renew_one(user: User, now: datetime) -> bool:
    with transaction.atomic():
        users = User.objects.select_for_update(no_key=True, skip_locked=True)
        if users.filter(pk=user.pk).first() is None:
            return False  # somebody is at it; if it is still due then, the next run takes it
        row = current(user)
        if row is None or row.period_end > now:
            return False
        _renew(row, now)
    return True


def _renew(row: DemoSubscription, now: datetime) -> None:
    if row.cancel_at_period_end or settings.ENABLE_PAYMENTS or not row.user.is_active:
        _end(row, row.period_end)
        return
    if row.next_plan is not None and row.next_plan.price is not None:
        row.plan, row.amount = row.next_plan, row.next_plan.price
    row.next_plan = None
    months = 1
    while months_after(row.anchor, months) <= now:
        months += 1
    row.period_start = months_after(row.anchor, months - 1)
    row.period_end = months_after(row.anchor, months)
    row.number += 1
    row.save()
    _follow(row, row.plan.monthly_allowance)


def _end(row: DemoSubscription, at: datetime) -> None:
    row.ended_at = at
    row.save(update_fields=["ended_at"])
    entitlements.follow(row.user)
    log.info("a demo subscription has ended", user=row.user_id, plan=row.plan_id)


def _follow(row: DemoSubscription, granted: int = 0) -> None:
    """Let the entitlement follow, and grant microcredits for the period."""
    entitlements.follow(row.user)
    if granted > 0:
        grant_demo(
            order=row.order,
            amount=granted,
            kind=Grant.Kind.ALLOWANCE,
            expires_at=row.period_end,
            period=(row.period_start, row.period_end),
            paid=0 if row.trial_end == row.period_end else None,
            number=row.number,
            plan=row.plan,
        )


def months_after(anchor: datetime, months: int) -> datetime:
    """``anchor`` plus calendar months; where a month has no such day, its last one, as Stripe has
    it: 31 January, 28 February, 31 March."""
    place = anchor.month - 1 + months
    year, month = anchor.year + place // 12, place % 12 + 1
    day = min(anchor.day, calendar.monthrange(year, month)[1])
    return anchor.replace(year=year, month=month, day=day)
