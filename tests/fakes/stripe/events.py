"""Events: what happened, in the order in which it happened, each with its object as it was then."""

from __future__ import annotations

from itertools import takewhile
from typing import Any

from . import forms, lists
from .forms import Params
from .render import render
from .store import API_VERSION, Object, Store

_KEPT = 30 * 24 * 3600  # seconds for which GET /v1/events shows an event


def emit(store: Store, type: str, object: Object, previous: Object | None = None) -> Object:
    """Record that something happened to ``object`` and hand it to the webhooks.

    ``previous`` are the changed fields' former values, of an ``….updated`` event.
    """
    data: Object = {"object": render(store, object)}
    if previous is not None:
        data["previous_attributes"] = previous
    event = store.add(
        "events",
        {
            "id": store.new_id("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": store.now(),
            "data": data,
            "livemode": False,
            "pending_webhooks": 0,
            "request": dict(store.request),
            "type": type,
        },
    )
    if store.on_event:
        store.on_event(event)
    return event


def changed(before: Object, after: Object) -> Object:
    """The former values of the fields that differ, for ``previous_attributes``."""
    return {name: value for name, value in before.items() if after.get(name) != value}


def list_events(store: Store, params: Params) -> Object:
    """``GET /v1/events``: the last 30 days, by ``type`` or ``types``, which may end in ``.*``."""
    types = forms.sequence(params, "types")
    if one := forms.text(params, "type"):
        types = [one]
    oldest = store.now() - _KEPT

    def wanted(event: Object) -> bool:
        return not types or any(_fits(event, type) for type in types)

    newest_first = reversed(store.tables["events"].values())
    recent = takewhile(lambda event: event["created"] >= oldest, newest_first)
    return lists.answer(store, "events", params, url="/v1/events", where=wanted, objects=recent)


def _fits(event: Object, type: Any) -> bool:
    type = str(type)
    if type.endswith("*"):
        return bool(event["type"].startswith(type[:-1]))
    return bool(event["type"] == type)
