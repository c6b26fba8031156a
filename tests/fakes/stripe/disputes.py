"""Disputes: opened by the cardholder, closed by the bank."""

from __future__ import annotations

from . import charges, events, forms, lists
from .errors import StripeError, unexpected_state
from .forms import Params
from .store import Object, Store

_FEE = 1500  # cents
_WEEK = 7 * 24 * 3600
_CLOSED = ("won", "lost", "warning_closed")


def open(
    store: Store, charge_id: str, amount: int | None = None, reason: str = "fraudulent"
) -> Object:
    """Dispute a charge, whole or in part; the amount leaves at once.

    Raises StripeError for a charge that failed, was fully refunded or is disputed already, and for
    more than is left of it.
    """
    charge = store.get("charges", charge_id, "charge")
    left = charge["amount"] - charge["amount_refunded"]
    if not charge["paid"] or charge["disputed"] or left <= 0:
        raise unexpected_state("charge_disputed", f"Charge {charge_id} can't be disputed.")
    amount = left if amount is None else amount
    if not 0 < amount <= left:
        raise StripeError(f"Only {left} of this charge can be disputed.", param="amount")
    id = store.new_id("du")
    moved = charges.book(store, id, "adjustment", -amount, charge["currency"], _FEE)
    dispute = store.add(
        "disputes",
        {
            "id": id,
            "object": "dispute",
            "amount": amount,
            "balance_transaction": moved["id"],
            "balance_transactions": [moved],
            "charge": charge_id,
            "created": store.now(),
            "currency": charge["currency"],
            "enhanced_eligibility_types": [],
            "evidence": {},
            "evidence_details": {
                "due_by": store.now() + _WEEK,
                "enhanced_eligibility": {},
                "has_evidence": False,
                "past_due": False,
                "submission_count": 0,
            },
            "is_charge_refundable": False,
            "livemode": False,
            "metadata": {},
            "payment_intent": charge["payment_intent"],
            "payment_method_details": {
                "card": {
                    "brand": charge["payment_method_details"]["card"]["brand"],
                    "case_type": "chargeback",
                    "network_reason_code": "10.4",
                },
                "type": "card",
            },
            "reason": reason,
            "status": "needs_response",
        },
    )
    charge["disputed"] = True
    events.emit(store, "charge.dispute.created", dispute)
    events.emit(store, "charge.updated", charge, {"disputed": False})
    events.emit(store, "charge.dispute.funds_withdrawn", dispute)
    return dispute


def close(store: Store, id: str, status: str) -> Object:
    """The bank decides: ``won`` gives the amount back, ``lost`` leaves it away."""
    dispute = store.get("disputes", id, "dispute")
    if status not in ("won", "lost"):
        raise StripeError("A dispute is won or lost.", param="status")
    if dispute["status"] in _CLOSED:
        raise unexpected_state("dispute_closed", f"Dispute {id} is closed: {dispute['status']}.")
    dispute["status"] = status
    if status == "won":
        currency = dispute["currency"]
        moved = charges.book(store, id, "adjustment", dispute["amount"], currency)
        dispute["balance_transactions"].append(moved)
        events.emit(store, "charge.dispute.funds_reinstated", dispute)
    events.emit(store, "charge.dispute.closed", dispute)
    return dispute


def update(store: Store, params: Params, id: str) -> Object:
    """``POST /v1/disputes/<id>``: evidence, and ``submit`` (by default) sends it to the bank."""
    dispute = store.get("disputes", id)
    if dispute["status"] in _CLOSED:
        raise unexpected_state("dispute_closed", "This dispute is already closed.")
    before = {**dispute, "evidence": dict(dispute["evidence"])}
    if evidence := forms.mapping(params, "evidence"):
        dispute["evidence"] |= evidence
        dispute["evidence_details"] |= {"has_evidence": True}
        if forms.boolean(params, "submit", True):
            dispute["status"] = "under_review"
    dispute["metadata"] = forms.metadata(params, dispute["metadata"])
    events.emit(store, "charge.dispute.updated", dispute, events.changed(before, dispute))
    return dispute


def accept(store: Store, params: Params, id: str) -> Object:
    """``POST /v1/disputes/<id>/close``: the merchant gives in."""
    return close(store, id, "lost")


def list_disputes(store: Store, params: Params) -> Object:
    return lists.answer(
        store, "disputes", params, url="/v1/disputes", filters=("charge", "payment_intent")
    )
