"""After a refund, a dispute, or the end of one: look again at what was paid."""

import structlog

from billing.gateway.listing import listing
from billing.gateway.mirror import fetch
from billing.models import Payment
from billing.owners import customer_by_id
from billing.payments.intents import apply_payment_intent
from billing.payments.invoices import apply_invoice
from billing.payments.sessions import apply_session

log = structlog.get_logger(__name__)

_APPLY = {"in_": apply_invoice, "cs_": apply_session, "pi_": apply_payment_intent}


def adjust(payment: Payment) -> Payment | None:
    """Let a payment agree with what Stripe has of it now. A demo payment is as it is."""
    if payment.demo:
        return payment
    return _APPLY[payment.object_id[:3]](payment.object_id)


def apply_changed_intent(id: str) -> None:
    """What a payment intent paid for has changed at Stripe, by a refund or a dispute: whichever
    object it is, it is looked at, granted yet or not."""
    known = Payment.objects.filter(payment_intent=id)
    if known.exists():
        for payment in known:
            adjust(payment)
        return
    intent = fetch("payment_intent", id)
    if customer_by_id(intent["customer"]) is None:
        log.info("a payment of a customer unknown here", payment_intent=id)
        return
    for session in listing("/v1/checkout/sessions", payment_intent=id):
        apply_session(session["id"])
    paying = {"type": "payment_intent", "payment_intent": id}
    for one in listing("/v1/invoice_payments", payment=paying):
        apply_invoice(one["invoice"])
    apply_payment_intent(id)
