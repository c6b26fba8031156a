"""Telling the workers that there are jobs, from a place that must not wait for the queue.

What is sent is only a hint: the jobs are rows, and whoever hears of any takes all that are due. So
one hint stands for all that come while it waits, and one that is lost, with Valkey away or emptied,
costs seconds: beat looks for jobs that nobody holds.
"""

import os
import threading
import time

import structlog
from celery import current_app

log = structlog.get_logger(__name__)

TASK = "jobs.tasks.work"
EXPIRES_SECONDS = 60
EVERY_SECONDS = 0.02  # the least time between two hints of a process: each costs it a millisecond


class _Hints:
    """The thread that sends them; made anew in a forked child."""

    def __init__(self) -> None:
        self._filled = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self) -> None:
        self._filled.set()
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._work, name="job-hints", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # no thread can be had; beat finds the job
                    return
                self._thread = thread

    def _work(self) -> None:
        while True:
            self._filled.wait()
            self._filled.clear()
            try:
                send()
            except Exception as error:
                log.warning("a hint is lost, beat finds the job", error=type(error).__name__)
            time.sleep(EVERY_SECONDS)


_hints = _Hints()


def hint() -> None:
    """There is a job, and that is committed. Never waits, never raises."""
    _hints.add()


def send() -> None:
    """Send a hint now. Raises what Celery raises."""
    current_app.signature(TASK).apply_async(retry=False, expires=EXPIRES_SECONDS)


def _begin_anew() -> None:
    global _hints
    _hints = _Hints()


os.register_at_fork(after_in_child=_begin_anew)
