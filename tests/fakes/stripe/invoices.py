"""Invoices: draft, then open, then paid, uncollectible or void.

A subscription hears of the end of its invoices through ``follows``.
"""

from __future__ import annotations

from collections.abc import Callable

from . import cards, customers, events, payments
from .errors import StripeError, unexpected_state
from .invoice_sums import sum_up
from .store import Object, Store

Follower = Callable[[Store, Object, str], None]
_FOLLOWERS: list[Follower] = []
RETRY_DAYS = (3, 5, 7)  # after the attempt before; then the subscription ends
_DAY = 24 * 3600


def follows(function: Follower) -> Follower:
    """Register who hears ``paid``, ``failed``, ``action_required``, ``given_up`` or ``voided``."""
    _FOLLOWERS.append(function)
    return function


def _tell(store: Store, invoice: Object, what: str) -> None:
    for follower in _FOLLOWERS:
        follower(store, invoice, what)


def finalize(store: Store, invoice: Object) -> None:
    """From draft to open, with a number, applying the customer's balance."""
    if invoice["status"] != "draft":
        raise unexpected_state(
            "invoice_not_editable",
            "This invoice is already finalized, you can't re-finalize a non-draft invoice.",
        )
    customer = store.get("customers", invoice["customer"])
    before = customer["balance"]
    sum_up(store, invoice)
    ending = invoice["ending_balance"] = invoice.pop("_ending_balance")
    number, customer["next_invoice_sequence"] = (
        customer["next_invoice_sequence"],
        (customer["next_invoice_sequence"] + 1),
    )
    invoice.update(
        status="open",
        number=f"{customer['invoice_prefix']}-{number:04}",
        effective_at=store.now(),
    )
    invoice["status_transitions"]["finalized_at"] = store.now()
    if ending != before:
        customer["balance"] = ending
        _note_balance(store, customer, ending - before, invoice["id"])
        events.emit(store, "customer.updated", customer, {"balance": before})
    events.emit(store, "invoice.finalized", invoice)


def _note_balance(store: Store, customer: Object, amount: int, invoice: str) -> None:
    store.add(
        "customer_balance_transactions",
        {
            "id": store.new_id("cbtxn"),
            "object": "customer_balance_transaction",
            "amount": amount,
            "checkout_session": None,
            "created": store.now(),
            "credit_note": None,
            "currency": store.tables["invoices"][invoice]["currency"],
            "customer": customer["id"],
            "description": None,
            "ending_balance": customer["balance"],
            "invoice": invoice,
            "livemode": False,
            "metadata": {},
            "type": "applied_to_invoice",
        },
    )


def collect(
    store: Store, invoice: Object, method: Object | None = None, *, on_session: bool = False
) -> StripeError | None:
    """Try to pay an open invoice with a card, by default the subscription's or customer's.

    Returns the refusal. Of nothing due it takes nothing and is paid without a payment.
    """
    if invoice["amount_due"] == 0:
        mark_paid(store, invoice)
        return None
    method = method or _method(store, invoice)
    intent = _intent(store, invoice)
    before = _tried(invoice)
    invoice.update(attempted=True, attempt_count=invoice["attempt_count"] + 1)
    if method is None:
        error: StripeError | None = StripeError(
            "This customer has no attached payment source or default payment method. Please "
            "consider adding a default payment method.",
            code="resource_missing",
        )
    else:
        # A renewal that needs authentication waits for it; it is not a plain decline.
        error = payments.attempt(
            store, intent, method, off_session=cards.behaviour(method).does == "fails_later"
        )
    if error is None and intent["status"] == "succeeded":
        mark_paid(store, invoice, intent)
        return None
    if error is None and intent["status"] == "processing":
        return None
    if not on_session:
        _plan_retry(store, invoice)
    events.emit(store, "invoice.updated", invoice, before)
    events.emit(store, "invoice.payment_failed", invoice)
    if error is None:
        events.emit(store, "invoice.payment_action_required", invoice)
        error = StripeError(
            "This payment requires additional user action before it can be completed "
            "successfully. Payment can be completed using the PaymentIntent associated with the "
            "invoice.",
            status=402,
            type="card_error",
            code="invoice_payment_intent_requires_action",
            payment_intent=intent,
        )
        _tell(store, invoice, "action_required")
    else:
        _tell(store, invoice, "failed")
    if invoice["_subscription"] and invoice["attempt_count"] > len(RETRY_DAYS) and not on_session:
        _tell(store, invoice, "given_up")
    return error


def prepare(store: Store, invoice: Object) -> None:
    """Make the intent that a person will confirm later, and take nothing."""
    _intent(store, invoice)


def _tried(invoice: Object) -> Object:
    names = ("attempted", "attempt_count", "next_payment_attempt")
    return {name: invoice[name] for name in names}


def _plan_retry(store: Store, invoice: Object) -> None:
    """The next attempt after the n-th failed one; none after the last."""
    failed = invoice["attempt_count"]
    wait = (
        RETRY_DAYS[failed - 1] if invoice["_subscription"] and failed <= len(RETRY_DAYS) else None
    )
    if invoice["billing_reason"] == "subscription_create":
        wait = None  # a first invoice is the person's to pay, within 23 hours
    invoice["next_payment_attempt"] = None if wait is None else store.now() + wait * _DAY


def _method(store: Store, invoice: Object) -> Object | None:
    subscription = store.tables["subscriptions"].get(invoice["_subscription"] or "")
    for id in (
        invoice["default_payment_method"],
        subscription and subscription["default_payment_method"],
    ):
        if id and id in store.tables["payment_methods"]:
            return store.tables["payment_methods"][id]
    return customers.default_method(store, store.get("customers", invoice["customer"]))


def _intent(store: Store, invoice: Object) -> Object:
    """The payment intent of an invoice, one for all attempts."""
    for payment in store.where("invoice_payments", invoice=invoice["id"], status="open"):
        return store.get("payment_intents", payment["payment"]["payment_intent"])
    intent = payments.make(
        store,
        invoice["amount_due"],
        invoice["currency"],
        invoice["customer"],
        description="Subscription update"
        if invoice["billing_reason"] != "subscription_create"
        else "Subscription creation",
        setup_future_usage=None,
        _for=["invoice", invoice["id"]],
    )
    add_payment(store, invoice, intent)
    return intent


def add_payment(store: Store, invoice: Object, intent: Object) -> Object:
    """Tie an intent to the invoice that it pays."""
    return store.add(
        "invoice_payments",
        {
            "id": store.new_id("inpay"),
            "object": "invoice_payment",
            "amount_paid": None,
            "amount_requested": intent["amount"],
            "created": store.now(),
            "currency": intent["currency"],
            "invoice": invoice["id"],
            "is_default": True,
            "livemode": False,
            "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
            "status": "open",
            "status_transitions": {"canceled_at": None, "paid_at": None},
        },
    )


def mark_paid(store: Store, invoice: Object, intent: Object | None = None) -> None:
    """Paid: by an intent that succeeded, or because nothing was due."""
    names = ("status", "amount_paid", "amount_remaining", "attempted", "next_payment_attempt")
    before = {name: invoice[name] for name in names}
    paid = intent["amount"] if intent else 0
    invoice.update(
        status="paid",
        amount_paid=paid,
        amount_remaining=0,
        attempted=True,
        auto_advance=False,
        next_payment_attempt=None,
    )
    invoice["status_transitions"]["paid_at"] = store.now()
    events.emit(store, "invoice.updated", invoice, events.changed(before, invoice))
    for payment in store.where("invoice_payments", invoice=invoice["id"], status="open"):
        payment.update(status="paid", amount_paid=paid)
        payment["status_transitions"]["paid_at"] = store.now()
        events.emit(store, "invoice_payment.paid", payment)
    events.emit(store, "invoice.paid", invoice)
    events.emit(store, "invoice.payment_succeeded", invoice)
    _tell(store, invoice, "paid")


@payments.follows("invoice")
def _followed(store: Store, id: str, intent: Object) -> None:
    """An intent ended after authentication or delay."""
    invoice = store.get("invoices", id)
    if invoice["status"] != "open":
        return
    if intent["status"] == "succeeded":
        mark_paid(store, invoice, intent)
    elif intent["status"] == "requires_payment_method":
        events.emit(store, "invoice.payment_failed", invoice)
        _tell(store, invoice, "failed")


def pay(store: Store, id: str, card: str | None = None) -> Object:
    """What the hosted invoice page does: pay an open invoice, with another card if one is given.

    Returns the invoice; its intent may need authentication. Raises the card's refusal.
    """
    invoice = store.get("invoices", id, "invoice")
    open_only(invoice)
    customer = customers.get(store, invoice["customer"])
    method = cards.attach(store, cards.make(store, card), customer) if card else None
    error = collect(store, invoice, method, on_session=True)
    if error and error.code != "invoice_payment_intent_requires_action":
        raise error
    if card and method and not customers.default_method(store, customer):
        customers.make_default(store, customer, method)
    return invoice


def open_intent(store: Store, invoice: Object) -> Object | None:
    """The intent that would pay it now, as a page needs to lead to its authentication."""
    for payment in store.where("invoice_payments", invoice=invoice["id"], status="open"):
        return store.get("payment_intents", payment["payment"]["payment_intent"])
    return None


def open_only(invoice: Object) -> None:
    """StripeError unless the invoice can be paid."""
    if invoice["status"] == "paid":
        raise unexpected_state("invoice_already_paid", "Invoice is already paid")
    if invoice["status"] not in ("open", "uncollectible"):
        raise unexpected_state(
            "invoice_not_open", f"This invoice can't be paid: it is {invoice['status']}."
        )


def end(store: Store, invoice: Object, status: str) -> None:
    """``void`` or ``uncollectible``."""
    before = {"status": invoice["status"]}
    invoice.update(status=status, next_payment_attempt=None, auto_advance=False)
    void = status == "void"
    invoice["status_transitions"]["voided_at" if void else "marked_uncollectible_at"] = store.now()
    if void:
        for payment in store.where("invoice_payments", invoice=invoice["id"], status="open"):
            payment["status"] = "canceled"
            intent = store.get("payment_intents", payment["payment"]["payment_intent"])
            payments.abandon(store, intent, "void_invoice")
    events.emit(store, "invoice.updated", invoice, before)
    events.emit(store, "invoice.voided" if void else "invoice.marked_uncollectible", invoice)
    _tell(store, invoice, "voided" if void else "uncollectible")


def issue(store: Store, invoice: Object) -> StripeError | None:
    """Finalise a draft and collect it at once. Returns the refusal."""
    finalize(store, invoice)
    return collect(store, invoice)
