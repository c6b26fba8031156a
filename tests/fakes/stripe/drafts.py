"""New invoices: drafts with their lines."""

from __future__ import annotations

from . import events, lines
from .invoice_sums import sum_up
from .store import Object, Store


def draft(
    store: Store,
    customer: Object,
    items: list[Object],
    *,
    reason: str,
    currency: str,
    period: tuple[int, int],
    subscription: Object | None = None,
    **fields: object,
) -> Object:
    """A new draft, announced by ``invoice.created``; ``items`` are its lines from now on."""
    id = store.new_id("in")
    parent = None
    if subscription is not None:
        parent = {
            "quote_details": None,
            "subscription_details": {
                "metadata": dict(subscription["metadata"]),
                "subscription": subscription["id"],
            },
            "type": "subscription_details",
        }
    for line in items:
        line["invoice"] = id
        _bind_item(store, line, id)
    invoice = {
        **_blank(store, customer),
        "id": id,
        "billing_reason": reason,
        "currency": currency,
        "parent": parent,
        "period_start": period[0],
        "period_end": period[1],
        "discounts": list((subscription or {}).get("discounts", [])),
        "automatic_tax": dict((subscription or {}).get("automatic_tax") or _NO_TAX),
        "_lines": items,
        "_subscription": subscription["id"] if subscription else None,
        **fields,
    }
    sum_up(store, invoice)
    store.add("invoices", invoice)
    events.emit(store, "invoice.created", invoice)
    return invoice


def _bind_item(store: Store, line: Object, invoice: str) -> None:
    """Tell the invoice item that a line was made of which invoice it is on."""
    details = line["parent"][line["parent"]["type"]]
    if item := store.tables["invoice_items"].get(details["invoice_item"] or ""):
        item["invoice"] = invoice


_NO_TAX = {
    "disabled_reason": None,
    "enabled": False,
    "liability": None,
    "provider": None,
    "status": None,
}


def _blank(store: Store, customer: Object) -> Object:
    nothing = (
        "account_tax_ids application confirmation_secret custom_fields customer_account "
        "customer_shipping default_payment_method default_source description due_date "
        "effective_at ending_balance footer from_invoice hosted_invoice_url invoice_pdf "
        "last_finalization_error latest_revision next_payment_attempt number on_behalf_of "
        "receipt_number rendering shipping_cost shipping_details statement_descriptor test_clock"
    )
    return {
        "object": "invoice",
        **dict.fromkeys(nothing.split()),
        "account_country": "US",
        "account_name": "Farebox (fake)",
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_shipping": 0,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": True,
        "automatically_finalizes_at": None,
        "collection_method": "charge_automatically",
        "created": store.now(),
        "customer": customer["id"],
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_tax_exempt": customer["tax_exempt"],
        "customer_tax_ids": [],
        "default_tax_rates": [],
        "issuer": {"type": "self"},
        "livemode": False,
        "metadata": {},
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": None,
        },
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "starting_balance": 0,
        "status": "draft",
        "status_transitions": dict.fromkeys(
            ("finalized_at", "marked_uncollectible_at", "paid_at", "voided_at")
        ),
        "webhooks_delivered_at": None,
    }


def for_session(store: Store, session: Object) -> Object:
    """A draft of what a payment that Checkout has taken was for."""
    now = store.now()
    bought = [
        lines.of_price(
            store, store.get("prices", item["price"]), item["quantity"], (now, now),
            amount=item["amount_total"],
        )
        for item in session["_line_items"]
    ]  # fmt: skip
    customer = store.get("customers", session["customer"])
    return draft(
        store, customer, bought, reason="manual", currency=session["currency"], period=(now, now)
    )
