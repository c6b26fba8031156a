"""Subscription schedules: phases of prices, as a plan change with the period's end needs."""

from __future__ import annotations

from typing import Any

from . import events, forms, lists, periods, subscriptions
from .errors import StripeError, unexpected_state
from .forms import Params
from .store import Object, Store

_OVER = ("released", "canceled", "completed")


def _make(store: Store, subscription: Object, phases: list[Object], end_behavior: str) -> Object:
    schedule = store.add(
        "schedules",
        {
            "id": store.new_id("sub_sched"),
            "object": "subscription_schedule",
            "application": None,
            "billing_mode": dict(subscription["billing_mode"]),
            "canceled_at": None,
            "completed_at": None,
            "created": store.now(),
            "current_phase": _span(phases[0]),
            "customer": subscription["customer"],
            "customer_account": None,
            "default_settings": {"billing_cycle_anchor": "automatic", "description": None},
            "end_behavior": end_behavior,
            "livemode": False,
            "metadata": {},
            "phases": phases,
            "released_at": None,
            "released_subscription": None,
            "status": "active",
            "subscription": subscription["id"],
            "test_clock": None,
        },
    )
    subscription["schedule"] = schedule["id"]
    events.emit(store, "subscription_schedule.created", schedule)
    events.emit(store, "customer.subscription.updated", subscription, {"schedule": None})
    return schedule


def _span(phase: Object) -> Object:
    return {"start_date": phase["start_date"], "end_date": phase["end_date"]}


def _phase(items: list[Object], start: int, end: int, **more: Any) -> Object:
    return {
        "add_invoice_items": [],
        "billing_cycle_anchor": None,
        "currency": "usd",
        "discounts": [],
        "end_date": end,
        "items": items,
        "metadata": {},
        "proration_behavior": "create_prorations",
        "start_date": start,
        "trial_end": None,
        **more,
    }


def _present(store: Store, subscription: Object) -> Object:
    """The phase that a subscription is in by itself: its items, until the period's end."""
    start, end = subscriptions.period(store, subscription)
    items = [
        {"price": item["price"], "quantity": item["quantity"], "metadata": {}, "discounts": []}
        for item in subscriptions.items(store, subscription)
    ]
    return _phase(items, start, end)


def at_period_end(store: Store, subscription: Object, price_id: str) -> Object:
    """Change to another price when the present period ends, for good."""
    release(store, subscription)
    present = _present(store, subscription)
    price = store.get("prices", price_id, "price")
    items = [{**present["items"][0], "price": price_id}]
    end = periods.after(present["end_date"], price["recurring"], 1)
    return _make(store, subscription, [present, _phase(items, present["end_date"], end)], "release")


def of(store: Store, subscription: Object) -> Object | None:
    """The schedule that is in charge of a subscription."""
    return store.tables["schedules"].get(subscription["schedule"] or "")


def upcoming(store: Store, subscription: Object) -> Object | None:
    """The price of the next phase, if it is another than the present one."""
    schedule = of(store, subscription)
    for phase in schedule["phases"] if schedule else []:
        if phase["start_date"] > store.now() or _starts_now(store, schedule, phase):
            price: Object = store.get("prices", phase["items"][0]["price"])
            present = subscriptions.items(store, subscription)[0]["price"]
            return price if price["id"] != present else None
    return None


def _starts_now(store: Store, schedule: Object | None, phase: Object) -> bool:
    assert schedule is not None
    return bool(phase["start_date"] == store.now() and _span(phase) != schedule["current_phase"])


def next_change(store: Store, subscription: Object) -> int | None:
    """When the schedule's present phase ends."""
    schedule = of(store, subscription)
    if schedule is None or schedule["current_phase"] is None:
        return None
    end: int = schedule["current_phase"]["end_date"]
    return end


def next_phase(store: Store, subscription: Object) -> Object | None:
    """Leave the present phase: the next one, or None after the last, which ends the schedule."""
    schedule = of(store, subscription)
    assert schedule is not None
    now = schedule["current_phase"]["end_date"]
    for phase in schedule["phases"]:
        if phase["start_date"] <= now < phase["end_date"]:
            before = schedule["current_phase"]
            schedule["current_phase"] = _span(phase)
            events.emit(store, "subscription_schedule.updated", schedule, {"current_phase": before})
            return dict(phase)
    if schedule["end_behavior"] == "cancel":
        _close(store, schedule, "completed", completed_at=now)
        subscriptions.end(store, subscription)
    else:
        release(store, subscription)
    return None


def _close(store: Store, schedule: Object, status: str, **more: Any) -> None:
    schedule.update(status=status, current_phase=None, **more)
    events.emit(store, f"subscription_schedule.{status}", schedule)


def release(store: Store, subscription: Object) -> None:
    """Take a subscription out of its schedule, if it has one; it goes on as it is."""
    schedule = of(store, subscription)
    if schedule is None:
        return
    before, subscription["schedule"] = subscription["schedule"], None
    released = {"released_at": store.now(), "released_subscription": subscription["id"]}
    _close(store, schedule, "released", subscription=None, **released)
    events.emit(store, "customer.subscription.updated", subscription, {"schedule": before})


def create(store: Store, params: Params) -> Object:
    """``POST /v1/subscription_schedules`` with ``from_subscription``."""
    forms.require(params, "from_subscription")
    if "phases" in params:
        raise StripeError("You cannot set `phases` if `from_subscription` is set.", param="phases")
    subscription = store.get("subscriptions", params["from_subscription"], "from_subscription")
    if subscription["status"] in subscriptions.ENDED or of(store, subscription):
        raise StripeError(
            "You cannot migrate a subscription that is already attached to a "
            "schedule or has ended.",
            param="from_subscription",
        )
    schedule = _make(store, subscription, [_present(store, subscription)], "release")
    schedule["metadata"] = forms.metadata(params)
    return schedule


def update(store: Store, params: Params, id: str) -> Object:
    """``POST /v1/subscription_schedules/<id>``: all phases anew, the present one first."""
    schedule = _active(store, id)
    before = dict(schedule)
    if "phases" in params:
        told = forms.sequence(params, "phases")
        schedule["phases"] = _phases(store, told, schedule["current_phase"]["start_date"])
        schedule["current_phase"] = _span(schedule["phases"][0])
    schedule["end_behavior"] = forms.choice(
        params, "end_behavior", ("release", "cancel"), schedule["end_behavior"]
    )
    schedule["metadata"] = forms.metadata(params, schedule["metadata"])
    events.emit(store, "subscription_schedule.updated", schedule, events.changed(before, schedule))
    return schedule


def _phases(store: Store, told: list[Params], start: int) -> list[Object]:
    phases: list[Object] = []
    for index, one in enumerate(told):
        param = f"phases[{index}]"
        items = [_item(store, item, param) for item in forms.sequence(one, "items")]
        if not items:
            raise StripeError(
                f"Missing required param: {param}[items].",
                param=f"{param}[items]",
                code="parameter_missing",
            )
        start = (
            (forms.integer(one, "start_date") or start) if not phases else phases[-1]["end_date"]
        )
        phases.append(
            _phase(
                items,
                start,
                _end(store, one, items, start, param),
                proration_behavior=forms.text(one, "proration_behavior", "create_prorations"),
                metadata=forms.mapping(one, "metadata"),
            )
        )
    return phases


def _item(store: Store, told: Params, param: str) -> Object:
    price = store.get("prices", told.get("price"), f"{param}[items][price]")
    quantity = forms.integer(told, "quantity", 1, at_least=1)
    return {"price": price["id"], "quantity": quantity, "metadata": {}, "discounts": []}


def _end(store: Store, told: Params, items: list[Object], start: int, param: str) -> int:
    end = forms.integer(told, "end_date")
    if end is not None:
        return end
    if duration := forms.mapping(told, "duration"):
        each = {
            "interval": duration.get("interval"),
            "interval_count": forms.integer(duration, "interval_count", 1, at_least=1),
        }
        return periods.after(start, each, 1)
    count = forms.integer(told, "iterations", at_least=1) or 1
    return periods.after(start, store.get("prices", items[0]["price"])["recurring"], count)


def _active(store: Store, id: str) -> Object:
    schedule = store.get("schedules", id)
    if schedule["status"] in _OVER:
        raise unexpected_state(
            "subscription_schedule_over",
            f"You cannot change a subscription schedule that is {schedule['status']}.",
        )
    return schedule


def release_api(store: Store, params: Params, id: str) -> Object:
    schedule = _active(store, id)
    release(store, store.get("subscriptions", schedule["subscription"]))
    return schedule


def cancel_api(store: Store, params: Params, id: str) -> Object:
    """``POST …/cancel``: the subscription ends with its schedule."""
    schedule = _active(store, id)
    _close(store, schedule, "canceled", canceled_at=store.now())
    subscriptions.end(store, store.get("subscriptions", schedule["subscription"]))
    return schedule


def list_schedules(store: Store, params: Params) -> Object:
    url = "/v1/subscription_schedules"
    return lists.answer(store, "schedules", params, url=url, filters=("customer",))
