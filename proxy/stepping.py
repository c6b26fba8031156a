"""Waiting at less cost: going on with what was begun by a single step, and waking who waits.

Most of what a call awaits is there already. ``next(work.__await__())`` finds that out for less than
a task or a timer costs; what it answers has to be awaited, by way of a ``Rest``.
"""

import asyncio
from collections.abc import Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Rest(Generic[T]):
    """What is left of ``work``: it may have been begun outside of the task that goes on with it.
    ``blocked`` is the future that it waits for."""

    __slots__ = ("_blocked", "_work")

    def __init__(self, work: Generator[Any, None, T], blocked: Any) -> None:
        self._work = work
        self._blocked = blocked

    def __await__(self) -> Generator[Any, None, T]:
        blocked = self._blocked
        try:
            while True:
                try:
                    yield blocked
                except BaseException as error:
                    blocked = self._work.throw(error)
                else:
                    blocked = next(self._work)
        except StopIteration as done:
            found: T = done.value
            return found


def wake(waiter: asyncio.Future[None]) -> None:
    """Let go on who waits for this, if nobody has."""
    if not waiter.done():
        waiter.set_result(None)
