"""The global clock: real time, or frozen where a test put it. It only moves forward."""

from __future__ import annotations

from collections.abc import Iterator

from . import engine
from .errors import StripeError
from .store import Store

_STEPS = 100_000  # more than any test means


def advance(store: Store, to: int) -> None:
    """Freeze the clock at ``to``, epoch seconds, doing on the way all that falls due, in order.

    Raises StripeError if that is before the present.
    """
    for _ in steps(store, to):
        pass


def steps(store: Store, to: int) -> Iterator[int]:
    """As ``advance``, stopping after each instant at which something was done."""
    if to < store.now():
        raise StripeError("The clock only moves forward.", param="now")
    store.frozen = store.now()
    for _ in range(_STEPS):
        due = engine.next_due(store)
        if due is None or due > to:
            break
        store.frozen = max(due, store.frozen)
        engine.do_due(store)
        yield store.frozen
    store.frozen = to
    store.dirty = True


def catch_up(store: Store) -> None:
    """While the clock is real: do what has fallen due."""
    due = engine.next_due(store)
    if due is not None and due <= store.now():
        engine.do_due(store)


def release(store: Store) -> None:
    """Real time again."""
    store.frozen = None
    store.dirty = True
