"""Credits bought on Stripe's Checkout page. The key of the grant is the session's id."""

from collections.abc import Mapping
from typing import Any

import structlog

from billing.gateway.mirror import fetch
from billing.models import Order, Payment
from billing.owners import customer_by_id, order_of
from billing.payments import orders
from billing.payments.charged import charged, receipt_of
from billing.payments.paid import Paid, settle
from common.money import MICRO
from ledger.models import Grant

log = structlog.get_logger(__name__)

_PAID = ("paid", "no_payment_required")  # the latter: a promotion code left nothing to pay


def apply_session(id: str) -> Payment | None:
    """Look at a Checkout session and let order, payment and credits agree with it.

    Of a session for a plan only the order is kept up: its invoice is what grants. ``None`` when
    nothing is paid, or when what was paid is not what was ordered.
    """
    expand = ["payment_intent.latest_charge"]
    return settle(lambda: _look(fetch("checkout.session", id, expand)))


def _look(session: Mapping[str, Any]) -> Paid | None:
    customer = customer_by_id(session["customer"])
    if customer is None:
        log.info("a session of a customer unknown here", session=session["id"])
        return None
    order = order_of(session, customer)
    if order is None:
        log.error("a session without an order of ours", session=session["id"])
        return None
    if session["mode"] != "payment" or session["payment_status"] not in _PAID:
        _keep_order(order, session)
        return None
    if wrong := mismatch(session, order):
        orders.refused(order, wrong)
        return None
    assert order.quantity is not None
    intent = session["payment_intent"] or {}
    return Paid(
        object_id=session["id"],
        key=f"stripe:session:{session['id']}",
        user=customer.user,
        kind=Payment.Kind.CREDITS,
        grant_kind=Grant.Kind.PURCHASE,
        credits=order.quantity * MICRO,
        paid=session["amount_total"],
        currency=session["currency"],
        charged=charged(intent),
        order=order,
        payment_intent=intent.get("id", ""),
        invoice_url=receipt_of(intent),
    )


def mismatch(session: Mapping[str, Any], order: Order) -> str:
    """Why a paid session is not what ``order`` says; empty when it is."""
    sums = session["total_details"] or {}
    subtotal, total = session["amount_subtotal"], session["amount_total"]
    net = subtotal - sums.get("amount_discount", 0)
    due = net + sums.get("amount_tax", 0)
    if order.kind != Order.Kind.CREDITS or order.demo:
        return f"a session that pays for credits, though the order is for: {order.kind}"
    if session["currency"] != order.currency:
        return f"paid in {session['currency']}, ordered in {order.currency}"
    if subtotal != order.amount:
        return f"paid for {subtotal}, ordered for {order.amount} {order.currency}"
    # By the account's tax settings a price may have its tax in it, as is usual in Europe.
    if total not in (due, net):
        return f"paid {total} where {due} {order.currency} were due"
    return ""


def _keep_order(order: Order, session: Mapping[str, Any]) -> None:
    """The order of a session that pays for a plan, or that is not paid."""
    intent = session["payment_intent"] or {}
    if session["status"] == "expired":
        orders.expired(order)
    elif session["status"] == "complete" and session["mode"] == "subscription":
        if session["payment_status"] in _PAID:
            orders.paid(order)
        else:
            orders.pending(order)
    elif session["status"] == "complete":
        if intent.get("status") in ("requires_payment_method", "canceled"):
            orders.failed(order, "The payment was refused.")
        else:
            orders.pending(order)
