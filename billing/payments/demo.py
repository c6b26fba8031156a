"""The demo mode: what an order would have granted if it had been paid. Everything says so."""

from datetime import datetime

from billing.gateway.moments import moment
from billing.models import Order, Payment, Plan
from billing.payments.paid import Paid, write
from common.money import MICRO
from ledger.models import Grant


def grant_demo(
    order: Order,
    *,
    amount: int | None = None,
    kind: str = Grant.Kind.PURCHASE,
    expires_at: datetime | None = None,
    period: tuple[datetime, datetime] | None = None,
    paid: int | None = None,
    number: int = 0,
    plan: Plan | None = None,
) -> Payment:
    """Grant ``amount`` microcredits for a demo order, once for each ``number``; joins the caller's
    transaction, and asks nobody. ``amount`` is what was ordered if not given,
    and ``paid`` (minor units) its price.

    ``number`` counts what a subscription grants, from 0. ``plan`` is the order's if not given.
    Raises ``ValueError`` for an order that is to be paid.
    """
    if not order.demo:
        raise ValueError("an order that is to be paid is not granted for nothing")
    name = f"{order.pk}:{number}" if number else str(order.pk)
    said = Paid(
        object_id=f"demo_{name}",
        key=f"demo:order:{name}",
        user=order.user,
        kind=order.kind,
        grant_kind=kind,
        credits=(order.quantity or 0) * MICRO if amount is None else amount,
        paid=order.amount if paid is None else paid,
        currency=order.currency,
        plan=plan or order.plan,
        order=order,
        period_start=period[0] if period else None,
        period_end=period[1] if period else None,
        expires_at=expires_at,
        demo=True,
    )
    found = Payment.objects.filter(object_id=said.object_id).first()
    return found or write(said, moment())
