"""Changes of a subscription's plan: at once with proration, or with the period's end."""

from __future__ import annotations

from dataclasses import dataclass

from . import (
    amounts,
    drafts,
    events,
    invoices,
    proration,
    renewals,
    schedules,
    subscription_lines,
    subscriptions,
)
from .errors import StripeError
from .rollback import undone_if_refused
from .store import Object, Store

BEHAVIORS = ("create_prorations", "always_invoice", "none")


@dataclass(frozen=True)
class Change:
    """One item's new price and quantity. No item: it is added. No price: it is removed."""

    item: Object | None
    price: Object | None
    quantity: int = 1


def update_plan(
    store: Store, subscription_id: str, price_id: str, *, proration: str = "always_invoice"
) -> Object:
    """What the portal does to move up: another price at once, the difference paid now.

    Raises the card's refusal; the subscription then keeps its plan.
    """
    subscription = subscriptions.get_live(store, subscription_id)
    price = store.get("prices", price_id, "price")
    item = subscriptions.items(store, subscription)[0]
    if item["price"] == price_id:
        return subscription
    schedules.release(store, subscription)
    change = Change(item, price, item["quantity"])
    apply(store, subscription, [change], behavior=proration, payment="error_if_incomplete")
    return store.get("subscriptions", subscription_id)


def update_plan_later(store: Store, subscription_id: str, price_id: str) -> Object:
    """What the portal does to move down: another price when the present period ends."""
    subscription = subscriptions.get_live(store, subscription_id)
    store.get("prices", price_id, "price")
    schedules.at_period_end(store, subscription, price_id)
    return subscription


def upcoming(store: Store, subscription: Object) -> Object | None:
    """The price that a schedule has for the next period, if another than now."""
    return schedules.upcoming(store, subscription)


def release_schedule(store: Store, subscription: Object) -> None:
    """Drop what a schedule still had planned."""
    schedules.release(store, subscription)


def apply(
    store: Store,
    subscription: Object,
    wanted: list[Change],
    *,
    behavior: str = "create_prorations",
    payment: str = "allow_incomplete",
    at: int | None = None,
    reset: bool = False,
) -> None:
    """Change items now (prorated from ``at``, epoch seconds), billing as ``behavior`` says.

    Another interval, or a start or end of a price of nothing, or ``reset`` starts a new period and
    bills it at once. A refused payment leaves the subscription past_due; with ``payment``
    ``error_if_incomplete`` nothing is changed and the refusal is raised.
    """
    at = at or store.now()
    if payment != "error_if_incomplete":
        _apply(store, subscription, wanted, behavior, at, reset)
        return
    with undone_if_refused(store):
        if error := _apply(store, subscription, wanted, behavior, at, reset):
            raise as_refusal(error)


def as_refusal(error: StripeError) -> StripeError:
    """What the API answers when a first payment or a change was to be paid and was not."""
    return StripeError(
        error.message,
        status=402,
        type="card_error",
        code=error.code,
        decline_code=error.more.get("decline_code"),
    )


def _apply(
    store: Store,
    subscription: Object,
    wanted: list[Change],
    behavior: str,
    at: int,
    reset: bool,
) -> StripeError | None:
    trial = subscription["status"] == "trialing"
    reset = not trial and (reset or any(_resets(store, change) for change in wanted))
    prorated = behavior != "none" and not trial
    snapshot = _snapshot(store, subscription)
    for change in wanted:
        if prorated and change.item and not (reset and change.price is None):
            proration.credit(store, subscription, change.item, at)
        if prorated and change.price and not reset:
            item = change.item or subscriptions.items(store, subscription)[0]
            proration.debit(store, subscription, item, change.price, change.quantity, at)
        _set(store, subscription, change)
    if reset:
        renewals.begin(store, subscription, anchor=store.now())
    _announce(store, subscription, snapshot)
    if reset:
        invoice = subscription_lines.bill(store, subscription, "subscription_update")
        return invoices.issue(store, invoice)
    if behavior == "always_invoice" and prorated:
        return invoice_pending(store, subscription)
    return None


def swap(store: Store, subscription: Object, wanted: list[Change]) -> None:
    """Change items where one period ends and the next begins: nothing to prorate.

    Another interval is counted from here.
    """
    if any(_resets(store, change) for change in wanted):
        subscription["billing_cycle_anchor"] = store.now()
    for change in wanted:
        _set(store, subscription, change)


def _resets(store: Store, change: Change) -> bool:
    if change.item is None or change.price is None:
        return False
    old = store.get("prices", change.item["price"])
    names = ("interval", "interval_count")
    if any(old["recurring"][name] != change.price["recurring"][name] for name in names):
        return True
    was = amounts.of_price(old, change.item["quantity"])
    return (was == 0) != (amounts.of_price(change.price, change.quantity) == 0)


def _set(store: Store, subscription: Object, change: Change) -> None:
    if change.item is None:
        assert change.price is not None
        start, end = subscriptions.period(store, subscription)
        subscriptions.add_item(store, subscription, change.price, change.quantity, start, end)
    elif change.price is None:
        store.remove("subscription_items", change.item["id"])
    else:
        change.item.update(price=change.price["id"], quantity=change.quantity)


def _snapshot(store: Store, subscription: Object) -> Object:
    return {
        item["id"]: {"id": item["id"], "price": item["price"], "quantity": item["quantity"]}
        for item in subscriptions.items(store, subscription)
    }


def _announce(store: Store, subscription: Object, before: Object) -> None:
    if _snapshot(store, subscription) != before:
        previous = {"items": {"data": list(before.values())}}
        events.emit(store, "customer.subscription.updated", subscription, previous)


def invoice_pending(store: Store, subscription: Object) -> StripeError | None:
    """Bill what is pending now, without waiting for the period's end. Returns the refusal."""
    found = subscription_lines.take_pending(store, subscription)
    now = store.now()
    invoice = drafts.draft(
        store,
        store.get("customers", subscription["customer"]),
        found,
        reason="subscription_update",
        currency=subscription["currency"],
        period=(now, now),
        subscription=subscription,
    )
    subscription["latest_invoice"] = invoice["id"]
    return invoices.issue(store, invoice)
