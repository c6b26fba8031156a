"""Billing periods, counted from the anchor: 31 January, 28 February, 31 March."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime, timedelta

from .store import Object

_DAYS = {"day": 1, "week": 7}


def after(anchor: int, recurring: Object, count: int) -> int:
    """The end of the ``count``-th period after the anchor, epoch seconds.

    A month too short for the anchor's day ends on its last day, and the next one is counted from
    the anchor again: https://docs.stripe.com/billing/subscriptions/billing-cycle.
    """
    start = datetime.fromtimestamp(anchor, UTC)
    steps = recurring["interval_count"] * count
    if days := _DAYS.get(recurring["interval"]):
        return int((start + timedelta(days=days * steps)).timestamp())
    months = start.month - 1 + steps * (12 if recurring["interval"] == "year" else 1)
    year, month = start.year + months // 12, months % 12 + 1
    day = min(start.day, monthrange(year, month)[1])
    return int(start.replace(year=year, month=month, day=day).timestamp())


def next_end(anchor: int, recurring: Object, start: int) -> int:
    """The end of the period that begins at ``start``: the first one past it."""
    count = 0
    while (end := after(anchor, recurring, count)) <= start:
        count += 1
    return end
