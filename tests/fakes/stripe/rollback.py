"""All or nothing: a verb that is refused half-way leaves no trace, and nobody hears of it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

from .errors import StripeError
from .store import Object, Store


@contextmanager
def undone_if_refused(store: Store) -> Iterator[None]:
    """Undo everything inside if it raises StripeError; send its events only if it does not.

    Objects got before or inside are stale afterwards when it was undone: get them again.
    """
    before, send = copy.deepcopy(store.tables), store.on_event
    heard: list[Object] = []
    store.on_event = heard.append
    try:
        yield
    except StripeError:
        store.tables = before
        raise
    finally:
        store.on_event = send
    if send:
        for event in heard:
            send(event)
