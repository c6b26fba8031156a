"""Many timers for the price of one."""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Callable


class Wheel:
    """Calls back at given times, rounded up to the millisecond, with one loop timer in all.

    A callback cannot be cancelled; it must find out by itself that it is too late.
    """

    __slots__ = ("_due", "_heap", "_loop", "_next", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due: dict[int, list[Callable[[], None]]] = {}
        self._heap: list[int] = []
        self._next: float = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def at(self, when: float, callback: Callable[[], None]) -> None:
        """Call back at `when`, by the loop's clock."""
        tick = math.ceil(when * 1000)
        slot = self._due.get(tick)
        if slot is not None:
            slot.append(callback)
            return
        self._due[tick] = [callback]
        heapq.heappush(self._heap, tick)
        if tick < self._next:
            self._arm(tick)

    def _arm(self, tick: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = tick
        self._timer = self._loop.call_at(tick / 1000, self._turn)

    def _turn(self) -> None:
        self._timer = None
        self._next = -math.inf  # what a callback adds is armed below, once for all
        now = self._loop.time() * 1000 + 0.5
        heap = self._heap
        while heap and heap[0] <= now:
            for callback in self._due.pop(heapq.heappop(heap)):
                callback()
        if heap:
            self._arm(heap[0])
        else:
            self._next = math.inf
