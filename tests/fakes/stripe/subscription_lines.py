"""What a subscription is made of and is billed for: items, discounts, lines of its invoices."""

from __future__ import annotations

from typing import Any

from . import coupons, drafts, lines, periods
from .store import Object, Store


def items(store: Store, subscription: Object) -> list[Object]:
    return list(store.where("subscription_items", subscription=subscription["id"]))


def period(store: Store, subscription: Object) -> tuple[int, int]:
    """The present period, epoch seconds: its items share it."""
    first = items(store, subscription)[0]
    return first["current_period_start"], first["current_period_end"]


def add_discount(store: Store, subscription: Object, chosen: Object) -> Object:
    """Redeem ``{"coupon", "promotion_code"}`` for a subscription, with its end."""
    coupon = store.get("coupons", chosen["coupon"])
    end = None
    if coupon["duration"] == "repeating":
        each = {"interval": "month", "interval_count": coupon["duration_in_months"]}
        end = periods.after(store.now(), each, 1)
    return coupons.redeem(
        store, chosen, subscription["customer"], subscription=subscription["id"], end=end
    )


def bill(
    store: Store, subscription: Object, reason: str, extra: list[Object] | None = None
) -> Object:
    """A draft for the present period of every item and all that is pending.

    A trial's period costs nothing. ``extra`` lines come first.
    """
    _drop_ended_discounts(store, subscription)
    customer = store.get("customers", subscription["customer"])
    trial = subscription["status"] == "trialing"
    found = list(extra or []) + take_pending(store, subscription)
    for item in items(store, subscription):
        price = store.get("prices", item["price"])
        span = (item["current_period_start"], item["current_period_end"])
        line = lines.of_price(
            store, price, item["quantity"], span, subscription=subscription["id"], item=item["id"]
        )
        if trial:
            name = store.tables["products"].get(price["product"], {}).get("name", "")
            line.update(amount=0, description=f"Trial period for {name}")
        item["_percent_off"] = _percent_off(store, subscription)
        found.append(line)
    invoice = drafts.draft(
        store,
        customer,
        found,
        reason=reason,
        currency=subscription["currency"],
        period=(store.now(), store.now()),
        subscription=subscription,
    )
    subscription["latest_invoice"] = invoice["id"]
    _use_up_once(store, subscription, trial=trial)
    return invoice


def _percent_off(store: Store, subscription: Object) -> Any:
    for id in subscription["discounts"]:
        coupon = store.tables["discounts"][id]["source"]["coupon"]
        return store.tables["coupons"].get(coupon, {}).get("percent_off")
    return None


def _drop_ended_discounts(store: Store, subscription: Object) -> None:
    kept = []
    for id in subscription["discounts"]:
        end = store.tables["discounts"][id]["end"]
        if end is None or end > store.now():
            kept.append(id)
    subscription["discounts"] = kept


def _use_up_once(store: Store, subscription: Object, *, trial: bool) -> None:
    """A coupon for once is gone after the first invoice that it took something off."""
    if trial:
        return
    subscription["discounts"] = [
        id
        for id in subscription["discounts"]
        if store.tables["coupons"]
        .get(store.tables["discounts"][id]["source"]["coupon"], {})
        .get("duration")
        != "once"
    ]


def take_pending(store: Store, subscription: Object) -> list[Object]:
    """The lines of invoice items that wait for this subscription's next invoice."""
    found = []
    for item in store.where("invoice_items", _subscription=subscription["id"], invoice=None):
        item["invoice"] = "pending"
        found.append(item["_line"])
    return found
