"""Asking a worker to look at a wallet at once, from a place that must not wait: a paid call's end.

Best effort. A thread of the process hands the task to the queue; what gets lost, with Valkey away
or too many at a time, is found by beat some seconds later.
"""

import os
import queue
import threading

import structlog
from celery import current_app

log = structlog.get_logger(__name__)

TASK = "billing.tasks.top_up"
MOST = 1000  # that wait to be handed over


class _Nudges:
    """What waits, and the thread that hands it over; made anew in a forked child."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[int] = queue.Queue(MOST)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, user: int) -> None:
        try:
            self._waiting.put_nowait(user)
            with self._lock:
                if self._thread is None:
                    thread = threading.Thread(target=self._work, name="nudges", daemon=True)
                    thread.start()
                    self._thread = thread
        except (queue.Full, RuntimeError):  # beat finds it
            return

    def _work(self) -> None:
        while True:
            user = self._waiting.get()
            try:
                current_app.signature(TASK, args=[user]).apply_async(retry=False, expires=60)
            except Exception as error:
                log.warning("a nudge is lost, beat finds it", error=type(error).__name__)


_nudges = _Nudges()


def top_up(user: int) -> None:
    """The wallet of ``user`` has become low. Never waits, never raises."""
    _nudges.add(user)


def _begin_anew() -> None:
    global _nudges
    _nudges = _Nudges()


os.register_at_fork(after_in_child=_begin_anew)
