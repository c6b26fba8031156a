"""Charges, and the balance transactions that they and their refunds make."""

from __future__ import annotations

from . import amounts, cards, events, forms, lists
from .forms import Params
from .store import Object, Store


def create(store: Store, intent: Object, method: Object, error: Object | None) -> Object:
    """One attempt to take an intent's amount: paid, or failed with ``error``."""
    paid = error is None
    charge = store.add(
        "charges",
        {
            "id": store.new_id("ch"),
            "object": "charge",
            "amount": intent["amount"],
            "amount_captured": intent["amount"] if paid else 0,
            "amount_refunded": 0,
            "application": None,
            "application_fee": None,
            "application_fee_amount": None,
            "balance_transaction": None,
            "billing_details": method["billing_details"],
            "calculated_statement_descriptor": "FAREBOX",
            "captured": paid,
            "created": store.now(),
            "currency": intent["currency"],
            "customer": intent["customer"],
            "description": intent["description"],
            "disputed": False,
            "failure_balance_transaction": None,
            "failure_code": None if error is None else error["code"],
            "failure_message": None if error is None else error["message"],
            "fraud_details": {},
            "livemode": False,
            "metadata": dict(intent["metadata"]),
            "on_behalf_of": None,
            "outcome": _outcome(error),
            "paid": paid,
            "payment_intent": intent["id"],
            "payment_method": method["id"],
            "payment_method_details": {"card": _details(method), "type": "card"},
            "receipt_email": intent["receipt_email"],
            "receipt_number": None,
            "refunded": False,
            "review": None,
            "shipping": None,
            "source": None,
            "source_transfer": None,
            "statement_descriptor": intent["statement_descriptor"],
            "statement_descriptor_suffix": None,
            "status": "succeeded" if paid else "failed",
            "transfer_data": None,
            "transfer_group": None,
        },
    )
    if paid:
        fee = amounts.share(charge["amount"], 290, 10_000) + 30
        moved = book(store, charge["id"], "charge", charge["amount"], charge["currency"], fee)
        charge["balance_transaction"] = moved["id"]
    return charge


def _outcome(error: Object | None) -> Object:
    if error is None:
        return {
            "advice_code": None,
            "network_advice_code": None,
            "network_decline_code": None,
            "network_status": "approved_by_network",
            "reason": None,
            "risk_level": "normal",
            "risk_score": 20,
            "seller_message": "Payment complete.",
            "type": "authorized",
        }
    return {
        "advice_code": "try_again_later",
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "declined_by_network",
        "reason": error.get("decline_code"),
        "risk_level": "normal",
        "risk_score": 20,
        "seller_message": "The bank did not return any further details with this decline.",
        "type": "issuer_declined",
    }


def _details(method: Object) -> Object:
    names = (
        "brand",
        "checks",
        "country",
        "exp_month",
        "exp_year",
        "fingerprint",
        "funding",
        "last4",
    )
    return {name: method["card"][name] for name in names}


def book(store: Store, source: str, type: str, amount: int, currency: str, fee: int = 0) -> Object:
    """A balance transaction: what a charge, refund or dispute moved at Stripe."""
    return store.add(
        "balance_transactions",
        {
            "id": store.new_id("txn"),
            "object": "balance_transaction",
            "amount": amount,
            "available_on": store.now() + 2 * 24 * 3600,
            "balance_type": "payments",
            "created": store.now(),
            "currency": currency,
            "description": None,
            "exchange_rate": None,
            "fee": fee,
            "fee_details": [
                {
                    "amount": fee,
                    "application": None,
                    "currency": currency,
                    "description": "Stripe processing fees",
                    "type": "stripe_fee",
                }
            ]
            if fee
            else [],
            "net": amount - fee,
            "reporting_category": type,
            "source": source,
            "status": "pending",
            "type": type,
        },
    )


def announce(store: Store, charge: Object) -> None:
    """``charge.succeeded`` or ``charge.failed``."""
    events.emit(store, f"charge.{charge['status']}", charge)


def is_to_be_disputed(store: Store, charge: Object) -> bool:
    """Paid with the test card whose owner disputes at once."""
    method = store.tables["payment_methods"].get(charge["payment_method"])
    return bool(charge["paid"] and method and cards.behaviour(method).does == "is_disputed")


def update(store: Store, params: Params, id: str) -> Object:
    charge = store.get("charges", id)
    before = dict(charge)
    if "description" in params:
        charge["description"] = forms.text(params, "description")
    if "receipt_email" in params:
        charge["receipt_email"] = forms.text(params, "receipt_email")
    charge["metadata"] = forms.metadata(params, charge["metadata"])
    if previous := events.changed(before, charge):
        events.emit(store, "charge.updated", charge, previous)
    return charge


def list_charges(store: Store, params: Params) -> Object:
    return lists.answer(
        store, "charges", params, url="/v1/charges", filters=("customer", "payment_intent")
    )


def list_balance_transactions(store: Store, params: Params) -> Object:
    return lists.answer(
        store,
        "balance_transactions",
        params,
        url="/v1/balance_transactions",
        filters=("type", "source", "currency"),
    )
