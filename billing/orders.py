"""What people set out to buy, as rows: written before anybody is asked for money.

No verb here asks Stripe. A row's state changes by compare and swap, so of two that end it at once
one does.
"""

from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from billing.models import Order, Plan
from common.errors import IdempotencyConflict

State = Order.State
OPEN_FOR = timedelta(days=1)


def placed(user: User, key: str, *, plan: Plan | None = None, quantity: int = 0) -> Order | None:
    """The order that ``user`` placed with this Idempotency-Key, if there is one.

    Raises ``IdempotencyConflict`` when it was for something else.
    """
    found = Order.objects.filter(user=user, key=key).first() if key else None
    if found is None:
        return None
    same = found.plan_id == (plan.pk if plan else None) and (found.quantity or 0) == quantity
    if not same or found.kind == Order.Kind.TOP_UP:
        raise IdempotencyConflict(
            "This Idempotency-Key was used for something else; make a new key for a new order."
        )
    return found


def place(
    *,
    user: User,
    amount: int,
    currency: str,
    key: str = "",
    plan: Plan | None = None,
    quantity: int | None = None,
) -> Order | None:
    """A new order of a plan or of credits; ``amount`` in minor units.

    ``None`` when there is an open order of a plan already, or one with this key: look again.
    """
    kind = Order.Kind.PLAN if plan else Order.Kind.CREDITS
    order = Order(user=user, kind=kind, plan=plan, quantity=quantity, amount=amount,
                  currency=currency, key=key, demo=not settings.ENABLE_PAYMENTS)  # fmt: skip
    if order.demo:
        order.url = settings.PUBLIC_URL + reverse("billing-checkout", args=[order.pk])
    try:
        with transaction.atomic():
            order.save(force_insert=True)
    except IntegrityError:
        return None
    return order


def open_plan_order(user: User) -> Order | None:
    """The one order of a plan that ``user`` has not paid yet."""
    return (
        Order.objects.select_related("plan")
        .filter(user=user, kind=Order.Kind.PLAN, state=State.OPEN)
        .first()
    )


def end(order: Order, state: str, failure: str = "") -> bool:
    """Take an open order to ``state``. Answers whether this call was the one that did: not when
    another has ended it, or given it a page, since ``order`` was read."""
    changed = Order.objects.filter(pk=order.pk, state=State.OPEN, stripe_id=order.stripe_id).update(
        state=state,
        failure=failure[:200],
        ended=None if state == State.PENDING else timezone.now(),
        # What never had a page was no order to anybody: its key is free for another try.
        **({} if order.url else {"key": ""}),
    )
    order.refresh_from_db()
    return bool(changed)


def opened(order: Order, stripe_id: str, url: str) -> bool:
    """Keep where an open order is paid. Answers whether that is what the row says now: of two that
    asked with one key, both were told the same; but the order may have been ended meanwhile."""
    Order.objects.filter(pk=order.pk, state=State.OPEN).update(stripe_id=stripe_id, url=url)
    order.refresh_from_db()
    return order.stripe_id == stripe_id


def give_up_old() -> int:
    """Expire open orders that nobody can pay any more: those of the demo mode after a day, as
    Stripe's pages do, and those that never had a page. Answers how many. Of others Stripe tells;
    top-ups see to theirs."""
    old = Order.objects.filter(state=State.OPEN, created__lt=timezone.now() - OPEN_FOR)
    old = old.exclude(kind=Order.Kind.TOP_UP).filter(Q(demo=True) | Q(stripe_id=None))
    return old.update(state=State.EXPIRED, ended=timezone.now(), key="")
