"""Subscriptions: how they start, are paid, renewed, paused and end.

Changes of plan are in ``changes.py``, what time does in ``engine.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import customers, events, invoices, lines, periods
from .errors import StripeError, unexpected_state
from .forms import Params
from .store import Object, Store
from .subscription_lines import add_discount, bill, items, period

DAY = 24 * 3600
ENDED = ("canceled", "incomplete_expired")
_NO_TAX = {"disabled_reason": None, "enabled": False, "liability": None}


def start(
    store: Store,
    customer: Object,
    wanted: list[tuple[Object, int]],
    *,
    discount: Object | None = None,
    trial_end: int | None = None,
    method: Object | None = None,
    paid_with: Object | None = None,
    extra: Sequence[tuple[Object, int]] = (),
    payment_behavior: str = "allow_incomplete",
    **fields: Any,
) -> Object:
    """A new subscription to (price, quantity) pairs, with its first invoice.

    ``extra`` is bought once, with the first invoice. ``paid_with`` is an intent that has paid that
    invoice already, as Checkout has. Without it the invoice is collected; a refusal leaves the
    subscription ``incomplete``, or is raised with ``payment_behavior`` ``error_if_incomplete``.
    """
    now = store.now()
    anchor = trial_end or fields.pop("billing_cycle_anchor", None) or now
    subscription = _blank(store, customer, wanted[0][0]["currency"])
    subscription.update(
        billing_cycle_anchor=anchor,
        default_payment_method=method["id"] if method else None,
        trial_start=now if trial_end else None,
        trial_end=trial_end,
        status="trialing" if trial_end else "active",
        **fields,
    )
    if discount:
        subscription["discounts"] = [add_discount(store, subscription, discount)["id"]]
    store.add("subscriptions", subscription)
    for price, quantity in wanted:
        end = trial_end or periods.next_end(anchor, price["recurring"], now)
        add_item(store, subscription, price, quantity, now, end)
    customer["currency"] = customer["currency"] or subscription["currency"]
    if not trial_end and not paid_with and _costs(store, subscription):
        subscription["status"] = "incomplete"
    events.emit(store, "customer.subscription.created", subscription)
    once = [lines.of_price(store, price, quantity, (now, now)) for price, quantity in extra]
    invoice = bill(store, subscription, "subscription_create", once)
    invoices.finalize(store, invoice)
    if paid_with and invoice["amount_due"]:
        paid_with["_for"] = ["invoice", invoice["id"]]
        invoices.add_payment(store, invoice, paid_with)
        invoices.mark_paid(store, invoice, paid_with)
    elif payment_behavior == "default_incomplete" and invoice["amount_due"]:
        invoices.prepare(store, invoice)
    elif (error := invoices.collect(store, invoice)) and payment_behavior == "error_if_incomplete":
        raise error
    return subscription


def _costs(store: Store, subscription: Object) -> bool:
    return any(
        store.get("prices", item["price"])["unit_amount_decimal"] != "0"
        for item in items(store, subscription)
    )


def _blank(store: Store, customer: Object, currency: str) -> Object:
    nothing = (
        "application application_fee_percent billing_cycle_anchor_config billing_thresholds "
        "cancel_at canceled_at customer_account days_until_due default_source description ended_at "
        "latest_invoice managed_payments next_pending_invoice_item_invoice on_behalf_of "
        "pause_collection pending_invoice_item_interval pending_setup_intent pending_update "
        "schedule test_clock transfer_data"
    )
    return {
        "id": store.new_id("sub"),
        "object": "subscription",
        **dict.fromkeys(nothing.split()),
        "automatic_tax": dict(_NO_TAX),
        "billing_mode": {
            "flexible": {"proration_discounts": "included"},
            "type": "flexible",
            "updated_at": None,
        },
        "cancel_at_period_end": False,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": "charge_automatically",
        "created": store.now(),
        "currency": currency,
        "customer": customer["id"],
        "default_tax_rates": [],
        "discounts": [],
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "livemode": False,
        "metadata": {},
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": "off",
        },
        "start_date": store.now(),
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
    }


def add_item(
    store: Store, subscription: Object, price: Object, quantity: int, start: int, end: int
) -> Object:
    return store.add(
        "subscription_items",
        {
            "id": store.new_id("si", 14),
            "object": "subscription_item",
            "billed_until": None,
            "billing_thresholds": None,
            "created": store.now(),
            "current_period_end": end,
            "current_period_start": start,
            "discounts": [],
            "metadata": {},
            "price": price["id"],
            "quantity": quantity,
            "subscription": subscription["id"],
            "tax_rates": [],
            "_percent_off": None,  # of the coupon under which the present period was billed
        },
    )


def set_status(store: Store, subscription: Object, status: str, **more: Any) -> None:
    """Move to another status and say so; nothing is said when nothing changes."""
    before = dict(subscription)
    subscription.update(status=status, **more)
    if previous := events.changed(before, subscription):
        events.emit(store, "customer.subscription.updated", subscription, previous)


@invoices.follows
def _invoice_changed(store: Store, invoice: Object, what: str) -> None:
    """What an invoice's end does to its subscription."""
    subscription = store.tables["subscriptions"].get(invoice["_subscription"] or "")
    if subscription is None or subscription["status"] in ENDED:
        return
    first = invoice["billing_reason"] == "subscription_create"
    status = subscription["status"]
    if what == "paid" and invoice["amount_paid"] and first:
        _keep_method(store, subscription, invoice)
    if what == "paid" and status in ("past_due", "incomplete", "unpaid"):
        owes = invoice["id"] != subscription["latest_invoice"] and not _is_settled(
            store, subscription["latest_invoice"]
        )
        if not owes:
            set_status(store, subscription, "active")
    elif what in ("failed", "action_required") and status in ("active", "trialing") and not first:
        set_status(store, subscription, "past_due")
    elif what == "given_up":
        end(store, subscription, reason="payment_failed")
    elif what in ("voided", "uncollectible") and status == "past_due":
        set_status(store, subscription, "active")
    elif what == "voided" and status == "incomplete":
        _expire_incomplete(store, subscription)


def _is_settled(store: Store, id: str | None) -> bool:
    return store.tables["invoices"].get(id or "", {}).get("status") in ("paid", "void", None)


def _keep_method(store: Store, subscription: Object, invoice: Object) -> None:
    settings = subscription["payment_settings"]
    if settings["save_default_payment_method"] != "on_subscription":
        return
    for payment in store.where("invoice_payments", invoice=invoice["id"]):
        intent = store.get("payment_intents", payment["payment"]["payment_intent"])
        subscription["default_payment_method"] = intent["payment_method"]


def _expire_incomplete(store: Store, subscription: Object) -> None:
    set_status(store, subscription, "incomplete_expired", ended_at=store.now())


def expire_incomplete(store: Store, subscription: Object) -> None:
    """23 hours without the first payment: over, and its invoice void."""
    invoice = store.tables["invoices"].get(subscription["latest_invoice"] or "")
    if invoice and invoice["status"] == "open":
        invoices.end(store, invoice, "void")
    if subscription["status"] == "incomplete":
        _expire_incomplete(store, subscription)


def end(store: Store, subscription: Object, *, reason: str | None = None) -> None:
    """Over now: ``customer.subscription.deleted``. Pending invoice items stay unbilled."""
    now = store.now()
    subscription.update(status="canceled", ended_at=now, schedule=None)
    subscription["canceled_at"] = subscription["canceled_at"] or now
    if reason and not subscription["cancellation_details"]["reason"]:
        subscription["cancellation_details"]["reason"] = reason
    for invoice in store.where("invoices", _subscription=subscription["id"], status="open"):
        invoice.update(auto_advance=False, next_payment_attempt=None)
    events.emit(store, "customer.subscription.deleted", subscription)


def get_live(store: Store, id: str) -> Object:
    """A subscription that has not ended; StripeError for an ended one as for an unknown."""
    subscription = store.get("subscriptions", id)
    if subscription["status"] in ENDED:
        raise unexpected_state(
            "resource_missing",
            f"No such subscription: '{id}'",
            status=404,
            param="id",
        )
    return subscription


def cancel(store: Store, id: str, *, at_period_end: bool = True) -> Object:
    """What the portal does: end with the period, or now."""
    subscription = get_live(store, id)
    details = {**subscription["cancellation_details"], "reason": "cancellation_requested"}
    if not at_period_end:
        subscription["cancellation_details"] = details
        end(store, subscription)
        return subscription
    set_status(
        store,
        subscription,
        subscription["status"],
        cancel_at_period_end=True,
        cancel_at=period(store, subscription)[1],
        canceled_at=store.now(),
        cancellation_details=details,
    )
    return subscription


def resume(store: Store, id: str) -> Object:
    """What the portal does: undo a cancellation at the period's end."""
    subscription = get_live(store, id)
    if not subscription["cancel_at_period_end"] and subscription["cancel_at"] is None:
        raise StripeError("This subscription is not set to be canceled.")
    set_status(store, subscription, subscription["status"], **uncanceled(subscription))
    return subscription


def uncanceled(subscription: Object) -> Object:
    """The fields of a subscription that goes on."""
    details = {**subscription["cancellation_details"], "reason": None}
    return {
        "cancel_at_period_end": False,
        "cancel_at": None,
        "canceled_at": None,
        "cancellation_details": details,
    }


def has_method(store: Store, subscription: Object) -> bool:
    """Whether there is anything to charge."""
    customer = store.get("customers", subscription["customer"])
    return bool(subscription["default_payment_method"] or customers.default_method(store, customer))


def warn_of_trial_end(store: Store, subscription: Object) -> None:
    """Three days before, or at once for a shorter trial."""
    subscription["_warned"] = True
    events.emit(store, "customer.subscription.trial_will_end", subscription)


def delete_customer(store: Store, params: Params, id: str) -> Object:
    """``DELETE /v1/customers/<id>``: its subscriptions end at once, its cards go."""
    customer = customers.get(store, id, "id")
    for subscription in store.where("subscriptions", customer=id):
        if subscription["status"] not in ENDED:
            end(store, subscription)
    for method in store.where("payment_methods", customer=id):
        method.update(customer=None, _detached=True)
    events.emit(store, "customer.deleted", customer)
    deleted = {"id": id, "object": "customer", "deleted": True, "_created": customer["created"]}
    return store.add("customers", deleted)
