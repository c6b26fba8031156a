"""A subscription enters the next phase of its schedule."""

from __future__ import annotations

from . import changes, events, schedules, subscriptions
from .store import Object, Store


def enter(store: Store, subscription: Object) -> None:
    """With the period's end the prices just change, and the renewal bills them; in the middle of a
    period they change as by an update, prorated as the phase says."""
    ends = subscriptions.period(store, subscription)[1]
    phase = schedules.next_phase(store, subscription)
    if phase is None:
        return
    items = subscriptions.items(store, subscription)
    wanted = [
        changes.Change(
            items[index] if index < len(items) else None,
            store.get("prices", told["price"]),
            told["quantity"],
        )
        for index, told in enumerate(phase["items"])
    ]
    wanted += [changes.Change(item, None) for item in items[len(wanted) :]]
    if ends > store.now():
        changes.apply(store, subscription, wanted, behavior=phase["proration_behavior"])
        return
    before = {"items": {"data": [{"id": i["id"], "price": i["price"]} for i in items]}}
    changes.swap(store, subscription, wanted)
    events.emit(store, "customer.subscription.updated", subscription, before)
