"""Automatic top-ups: payment intents of our own making. The key of the grant is the intent's id."""

from collections.abc import Mapping
from typing import Any

from billing.gateway.mirror import fetch
from billing.models import Order, Payment
from billing.owners import customer_by_id, order_of
from billing.payments import orders
from billing.payments.charged import charged, receipt_of
from billing.payments.paid import Paid, settle
from common.money import MICRO
from ledger.models import Grant


def apply_payment_intent(id: str) -> Payment | None:
    """Look at a payment intent and let its top-up's order, payment and credits agree with it.

    ``None`` for one that is no top-up (a session's, an invoice's), is not paid, or was paid
    otherwise than ordered. An intent that waits for another card or for authentication leaves its
    order as it is: that is the top-up's own matter.
    """
    return settle(lambda: _look(fetch("payment_intent", id, ["latest_charge"])))


def _look(intent: Mapping[str, Any]) -> Paid | None:
    customer = customer_by_id(intent["customer"])
    order = order_of(intent, customer) if customer else None
    if customer is None or order is None or order.kind != Order.Kind.TOP_UP:
        return None
    if intent["status"] == "canceled":
        orders.failed(order, "The payment was given up.")
        return None
    if intent["status"] != "succeeded":
        return None
    if wrong := mismatch(intent, order):
        orders.refused(order, wrong)
        return None
    assert order.quantity is not None
    return Paid(
        object_id=intent["id"],
        key=f"stripe:payment_intent:{intent['id']}",
        user=customer.user,
        kind=Payment.Kind.TOP_UP,
        grant_kind=Grant.Kind.PURCHASE,
        credits=order.quantity * MICRO,
        paid=intent["amount_received"],
        currency=intent["currency"],
        charged=charged(dict(intent)),
        order=order,
        payment_intent=intent["id"],
        invoice_url=receipt_of(intent),
    )


def mismatch(intent: Mapping[str, Any], order: Order) -> str:
    """Why a paid intent is not what ``order`` says; empty when it is."""
    if intent["currency"] != order.currency:
        return f"paid in {intent['currency']}, ordered in {order.currency}"
    if intent["amount_received"] != order.amount:
        return f"paid {intent['amount_received']}, ordered for {order.amount} {order.currency}"
    return ""
