"""A new period: after a trial, a month, a year."""

from __future__ import annotations

from . import events, invoices, periods, subscription_lines, subscriptions
from .store import Object, Store


def renew(store: Store, subscription: Object) -> None:
    """Begin the next period and bill it.

    The period moves first, paid or not: a decline leaves it advanced and the subscription
    ``past_due``. At the end of a trial without a card, the trial's settings decide.
    """
    if subscription["status"] == "trialing" and _ends_without_card(store, subscription):
        return
    before = _snapshot(store, subscription)
    was_trial = subscription["status"] == "trialing"
    begin(store, subscription)
    if was_trial:
        subscription["status"] = "active"
    announce(store, subscription, before)
    bill(store, subscription, "subscription_cycle")


def _ends_without_card(store: Store, subscription: Object) -> bool:
    wanted = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    if wanted == "create_invoice" or subscriptions.has_method(store, subscription):
        return False
    if wanted == "cancel":
        subscriptions.end(store, subscription)
        return True
    subscriptions.set_status(store, subscription, "paused")
    events.emit(store, "customer.subscription.paused", subscription)
    return True


def begin(store: Store, subscription: Object, *, anchor: int | None = None) -> None:
    """Move every item to the period after its present one, or to one that starts now."""
    if anchor is not None:
        subscription["billing_cycle_anchor"] = anchor
    for item in subscriptions.items(store, subscription):
        start = store.now() if anchor is not None else item["current_period_end"]
        recurring = store.get("prices", item["price"])["recurring"]
        end = periods.next_end(subscription["billing_cycle_anchor"], recurring, start)
        item.update(current_period_start=start, current_period_end=end)


def _snapshot(store: Store, subscription: Object) -> Object:
    plain = {name: subscription[name] for name in ("status", "latest_invoice")}
    return {**plain, "_periods": subscriptions.period(store, subscription)}


def announce(store: Store, subscription: Object, before: Object) -> None:
    """``customer.subscription.updated`` after the period moved."""
    start, end = before["_periods"]
    previous = events.changed(
        {name: value for name, value in before.items() if not name.startswith("_")}, subscription
    )
    previous["items"] = {
        "data": [
            {"id": item["id"], "current_period_start": start, "current_period_end": end}
            for item in subscriptions.items(store, subscription)
        ]
    }
    events.emit(store, "customer.subscription.updated", subscription, previous)


def bill(store: Store, subscription: Object, reason: str) -> Object:
    """Invoice the present period and collect it, unless collection is paused."""
    invoice = subscription_lines.bill(store, subscription, reason)
    paused = subscription["pause_collection"]
    if not paused:
        invoices.issue(store, invoice)
    elif paused["behavior"] != "keep_as_draft":
        invoices.finalize(store, invoice)
        status = "void" if paused["behavior"] == "void" else "uncollectible"
        invoices.end(store, invoice, status)
    else:
        invoice["auto_advance"] = False
    return invoice
