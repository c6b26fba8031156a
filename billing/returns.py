"""Coming back from Checkout: which order it was, how far it is, and having Stripe asked about it.

``?paid=`` is no proof of anything. It names a session, or a demo order, and counts only for the
user whose it is; what the page says comes from the order's state, which only ``billing.payments``
takes to paid.
"""

import uuid
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from accounts.models import User
from billing import payments
from billing.gateway.mirror import fetch
from billing.models import Entitlement, Order

WAITING, PENDING, PAID, FAILED = "waiting", "pending", "paid", "failed"
A_WHILE = timedelta(minutes=15)  # how long it is news
_BOUGHT = (Entitlement.Source.STRIPE, Entitlement.Source.DEMO)


@dataclass(frozen=True, slots=True)
class Returned:
    """``state``: ``waiting`` (for Stripe to say so), ``pending`` (for the bank), ``paid`` or
    ``failed``; ``what`` was bought; ``said`` is a sentence for the last two."""

    reference: str
    state: str
    what: str
    said: str = ""


def order_of(user: User, reference: str) -> Order | None:
    """The order of ``user`` behind a Checkout session's id, or a demo order's."""
    orders = Order.objects.select_related("plan").filter(user=user)
    if "\0" in reference:  # PostgreSQL can't be asked for that
        return None
    if reference.startswith("cs_"):
        return orders.filter(stripe_id=reference[:255]).first()
    try:
        return orders.filter(pk=uuid.UUID(reference), demo=True).first()
    except ValueError:
        return None


def ask(order: Order) -> None:
    """Have Stripe asked about an order's session, in case its message is lost. Raises
    ``StripeUnavailable`` and ``StripeRefused``; must be called outside transactions."""
    if order.demo or not order.stripe_id:
        return
    payments.apply_session(order.stripe_id)
    if order.kind == Order.Kind.PLAN:  # its invoice is what grants
        invoice = fetch("checkout.session", order.stripe_id)["invoice"]
        if invoice:
            payments.apply_invoice(invoice if isinstance(invoice, str) else invoice["id"])


def returned(user: User, reference: str) -> Returned | None:
    """How far the order is that somebody came back from; ``None`` for one that is not theirs, and
    for one that came to its end a while ago: the address stays with a page that is left open."""
    order = order_of(user, reference)
    if order is None or (order.ended and order.ended < timezone.now() - A_WHILE):
        return None
    what = what_of(order)
    match order.state:
        case Order.State.PAID if _is_there(order):
            return Returned(reference, PAID, what, _thanks(order))
        case Order.State.PENDING:
            return Returned(reference, PENDING, what)
        case Order.State.FAILED:
            said = f"{what}: the payment did not go through, and nothing was added. "
            said += "If money was taken all the same, tell the operator."
            return Returned(reference, FAILED, what, said)
        case Order.State.EXPIRED:
            said = f"{what}: the payment page ran out before it was paid. Nothing was charged."
            return Returned(reference, FAILED, what, said)
    return Returned(reference, WAITING, what)


def what_of(order: Order) -> str:
    """``"Pro"`` or ``"100 credits"``."""
    if order.plan is not None:
        return order.plan.name
    return f"{order.quantity:,} {settings.CREDIT_NAME}"


def _is_there(order: Order) -> bool:
    """Whether what was paid for has arrived. A plan may follow its order by a moment."""
    if order.plan is None:
        return True
    return Entitlement.objects.filter(user=order.user_id, source__in=_BOUGHT).exists()


def _thanks(order: Order) -> str:
    if order.plan is not None:
        return f"Thank you. Your plan is {order.plan.name} now."
    return f"Thank you. {what_of(order)} were added to your balance."
