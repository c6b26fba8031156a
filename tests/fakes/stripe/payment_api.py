"""``/v1/payment_intents``."""

from __future__ import annotations

from . import cards, customers, forms, lists, payments
from .errors import StripeError, unexpected_state
from .forms import Params
from .payments import DONE, MINIMUM
from .store import Object, Store


def create(store: Store, params: Params) -> Object:
    """``POST /v1/payment_intents``, with ``confirm`` at once."""
    forms.require(params, "amount")
    amount = forms.integer(params, "amount", at_least=1) or 0
    customer = forms.text(params, "customer")
    if customer:
        customers.get(store, customer)
    off_session = params.get("off_session") not in (None, "", "false")
    if off_session and not forms.boolean(params, "confirm"):
        raise StripeError(
            "off_session can only be passed when confirm is true.", param="off_session"
        )
    method = _method(store, params, customer)
    automatic = forms.mapping(params, "automatic_payment_methods")
    intent = payments.make(
        store,
        amount,
        forms.currency(params),
        customer,
        description=forms.text(params, "description"),
        metadata=forms.metadata(params),
        receipt_email=forms.text(params, "receipt_email"),
        setup_future_usage=forms.text(params, "setup_future_usage"),
        statement_descriptor=forms.text(params, "statement_descriptor"),
        automatic_payment_methods={"allow_redirects": "always", "enabled": True}
        if automatic or "payment_method_types" not in params
        else None,
        payment_method=method["id"] if method else None,
        status="requires_confirmation" if method else "requires_payment_method",
    )
    if forms.boolean(params, "confirm"):
        return _confirm(store, params, intent, method)
    return intent


def _method(store: Store, params: Params, customer: str | None) -> Object | None:
    """The payment method of a request, if it may be used for that customer."""
    id = forms.text(params, "payment_method")
    if not id:
        return None
    method = cards.find(store, id)
    if method["customer"] not in (None, customer):
        raise StripeError(
            "The provided PaymentMethod cannot be attached. To reuse a PaymentMethod, you must "
            "attach it to a Customer first."
            if customer
            else f"The payment method {id} belongs to a Customer. Please include the Customer in "
            "the `customer` parameter on the PaymentIntent.",
            param="payment_method",
        )
    if method["customer"] is None and (method.get("_used") or method.get("_detached")):
        raise StripeError(
            "The provided PaymentMethod was previously used with a PaymentIntent without Customer "
            "attachment, shared with a connected account without Customer attachment, or was "
            "detached from a Customer. It may not be used again.",
            param="payment_method",
        )
    return method


def confirm(store: Store, params: Params, id: str) -> Object:
    """``POST /v1/payment_intents/<id>/confirm``. Raises the card's refusal, as 402."""
    intent = store.get("payment_intents", id, "intent")
    method = _method(store, params, intent["customer"])
    if method is None and intent["payment_method"]:
        method = store.get("payment_methods", intent["payment_method"])
    return _confirm(store, params, intent, method)


def _confirm(store: Store, params: Params, intent: Object, method: Object | None) -> Object:
    if intent["status"] in (*DONE, "processing"):
        raise unexpected_state(
            "payment_intent_unexpected_state",
            f"You cannot confirm this PaymentIntent because it has a status of {intent['status']}.",
            payment_intent=intent,
        )
    if method is None:
        raise unexpected_state(
            "payment_intent_unexpected_state",
            "You cannot confirm this PaymentIntent because it's missing a payment method.",
            payment_intent=intent,
        )
    off_session = params.get("off_session") not in (None, "", "false")
    return_url = forms.text(params, "return_url")
    error = payments.attempt(store, intent, method, off_session=off_session, return_url=return_url)
    if error:
        raise error
    payments.tell(store, intent)
    return intent


def update(store: Store, params: Params, id: str) -> Object:
    """``POST /v1/payment_intents/<id>``."""
    intent = store.get("payment_intents", id, "intent")
    if intent["status"] in DONE and {"amount", "currency", "payment_method"} & set(params):
        raise unexpected_state(
            "payment_intent_unexpected_state",
            f"This PaymentIntent could not be updated because it has a status of "
            f"{intent['status']}.",
            payment_intent=intent,
        )
    if "amount" in params:
        intent["amount"] = forms.integer(params, "amount", at_least=MINIMUM)
    for name in ("description", "receipt_email", "setup_future_usage"):
        if name in params:
            intent[name] = forms.text(params, name)
    if method := _method(store, params, intent["customer"]):
        intent.update(payment_method=method["id"], status="requires_confirmation")
    intent["metadata"] = forms.metadata(params, intent["metadata"])
    return intent


def cancel(store: Store, params: Params, id: str) -> Object:
    """``POST /v1/payment_intents/<id>/cancel``."""
    intent = store.get("payment_intents", id, "intent")
    if intent["status"] in (*DONE, "processing"):
        raise unexpected_state(
            "payment_intent_unexpected_state",
            f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}.",
            payment_intent=intent,
        )
    payments.abandon(store, intent, forms.text(params, "cancellation_reason"))
    return intent


def list_intents(store: Store, params: Params) -> Object:
    return lists.answer(
        store, "payment_intents", params, url="/v1/payment_intents", filters=("customer",)
    )
