"""What time does: trials end, periods renew, retries, cancellations, expiries; in order."""

from __future__ import annotations

from . import phases, schedules, sessions, subscriptions
from .invoices import collect
from .renewals import renew
from .store import Object, Store

_TRIAL_WARNING = 3 * 24 * 3600  # seconds before a trial's end
_INCOMPLETE = 23 * 3600  # seconds for the first payment


def next_due(store: Store) -> int | None:
    """The next instant at which something is to be done, maybe in the past; None if never."""
    return min((at for at, _, _ in _due(store)), default=None)


def do_due(store: Store) -> None:
    """Do, in order of their time, all that is due by the clock's present."""
    while waiting := [entry for entry in _due(store) if entry[0] <= store.now()]:
        for at, kind, object in sorted(waiting, key=lambda entry: entry[0]):
            # What came before may have moved or undone it.
            if any((at, kind) == (when, what) for when, what, _ in _of(store, object)):
                _DO[kind](store, object)
                store.dirty = True


def _due(store: Store) -> list[tuple[int, str, Object]]:
    found: list[tuple[int, str, Object]] = []
    for table in ("sessions", "subscriptions", "invoices"):
        for object in store.tables[table].values():
            found += _of(store, object)
    return found


def _of(store: Store, object: Object) -> list[tuple[int, str, Object]]:
    """What time will do to an object: when, what."""
    if object["object"] == "subscription":
        ended = object["status"] in subscriptions.ENDED
        return [] if ended else _of_subscription(store, object)
    if object["status"] != "open":
        return []
    if object["object"] == "checkout.session":
        return [(object["expires_at"], "expire", object)]
    again = object["next_payment_attempt"]
    return [(again, "retry", object)] if again else []


def _of_subscription(store: Store, subscription: Object) -> list[tuple[int, str, Object]]:
    if subscription["status"] == "incomplete":
        return [(subscription["created"] + _INCOMPLETE, "abandon", subscription)]
    found = []
    if subscription["cancel_at"]:
        found.append((subscription["cancel_at"], "cancel", subscription))
    if subscription["status"] == "paused":
        return found
    end = subscriptions.period(store, subscription)[1]
    if subscription["status"] == "trialing" and not subscription.get("_warned"):
        found.append((end - _TRIAL_WARNING, "warn", subscription))
    changes = schedules.next_change(store, subscription)
    if changes is not None:  # before a renewal at the same instant, which bills the new price
        found.append((changes, "phase", subscription))
    found.append((end, "renew", subscription))
    return found


def _cancel(store: Store, subscription: Object) -> None:
    subscriptions.end(store, subscription)


def _retry(store: Store, invoice: Object) -> None:
    collect(store, invoice)


_DO = {
    "expire": lambda store, session: sessions.expire(store, session["id"]),
    "abandon": subscriptions.expire_incomplete,
    "cancel": _cancel,
    "warn": subscriptions.warn_of_trial_end,
    "phase": phases.enter,
    "renew": renew,
    "retry": _retry,
}
