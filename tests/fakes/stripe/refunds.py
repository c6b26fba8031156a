"""Refunds: whole or in part, at most what is left, never of a disputed charge."""

from __future__ import annotations

from . import charges, events, forms, lists
from .errors import StripeError, missing_param, unexpected_state
from .forms import Params
from .store import Object, Store

_REASONS = ("duplicate", "fraudulent", "requested_by_customer")


def create(store: Store, params: Params) -> Object:
    """``POST /v1/refunds`` of a charge or payment intent."""
    charge = _charge(store, params)
    id = charge["id"]
    if not charge["paid"]:
        raise unexpected_state("charge_not_refundable", f"Charge {id} has not been paid.")
    if any(dispute["status"] != "won" for dispute in store.where("disputes", charge=id)):
        raise unexpected_state(
            "charge_disputed", f"Charge {id} has been charged back; cannot issue a refund."
        )
    left = charge["amount"] - charge["amount_refunded"]
    if left <= 0:
        raise unexpected_state("charge_already_refunded", f"Charge {id} has already been refunded.")
    amount = forms.integer(params, "amount", left, at_least=1) or 0
    if amount > left:
        raise StripeError(
            f"Refund amount (${amount / 100:.2f}) is greater than unrefunded amount on charge "
            f"(${left / 100:.2f})",
            param="amount",
        )
    if "reason" in params:
        forms.choice(params, "reason", _REASONS, "requested_by_customer")
    refund = _refund(store, charge, amount, params)
    before = {"amount_refunded": charge["amount_refunded"], "refunded": charge["refunded"]}
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    events.emit(store, "charge.refunded", charge, events.changed(before, charge))
    events.emit(store, "refund.created", refund)
    refund["destination_details"]["card"]["reference"] = store.new_id("x", 16)[2:]
    refund["destination_details"]["card"]["reference_status"] = "available"
    pending = {"destination_details": {"card": {"reference_status": "pending"}}}
    events.emit(store, "refund.updated", refund, pending)
    events.emit(store, "charge.refund.updated", refund, pending)
    return refund


def _charge(store: Store, params: Params) -> Object:
    if id := forms.text(params, "charge"):
        return store.get("charges", id, "charge")
    if not (id := forms.text(params, "payment_intent")):
        raise missing_param("charge or payment_intent")
    intent = store.get("payment_intents", id, "payment_intent")
    if not intent["latest_charge"] or intent["status"] != "succeeded":
        raise unexpected_state(
            "payment_intent_unexpected_state",
            f"This PaymentIntent ({id}) does not have a successful charge to refund.",
            param="payment_intent",
        )
    return store.get("charges", intent["latest_charge"])


def _refund(store: Store, charge: Object, amount: int, params: Params) -> Object:
    id = store.new_id("re")
    moved = charges.book(store, id, "refund", -amount, charge["currency"])
    return store.add(
        "refunds",
        {
            "id": id,
            "object": "refund",
            "amount": amount,
            "balance_transaction": moved["id"],
            "charge": charge["id"],
            "created": store.now(),
            "currency": charge["currency"],
            "destination_details": {
                "card": {
                    "reference": None,
                    "reference_status": "pending",
                    "reference_type": "acquirer_reference_number",
                    "type": "refund",
                },
                "type": "card",
            },
            "metadata": forms.metadata(params),
            "payment_intent": charge["payment_intent"],
            "reason": forms.text(params, "reason"),
            "receipt_number": None,
            "source_transfer_reversal": None,
            "status": "succeeded",
            "transfer_reversal": None,
        },
    )


def update(store: Store, params: Params, id: str) -> Object:
    refund = store.get("refunds", id)
    before = dict(refund)
    refund["metadata"] = forms.metadata(params, refund["metadata"])
    if previous := events.changed(before, refund):
        events.emit(store, "refund.updated", refund, previous)
    return refund


def list_refunds(store: Store, params: Params, charge: str = "") -> Object:
    """All, of a charge, or of a payment intent."""
    told = {"charge": charge} if charge else {}
    return lists.answer(
        store,
        "refunds",
        {**params, **told},
        url="/v1/refunds",
        filters=("charge", "payment_intent"),
    )
