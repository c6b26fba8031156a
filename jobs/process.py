"""The worker of this process: a thread with an event loop, begun by the first hint.

Jobs wait for the network nearly all the time, so one process of Celery's does many at once beside
its other tasks, which they never keep waiting. A process with nothing to do ends its thread, and
with it what it keeps open.
"""

import asyncio
import os
import threading
from typing import Any

import structlog
from celery.signals import worker_process_shutdown, worker_shutdown
from django.conf import settings

from jobs.worker import GIVE_BACK_SECONDS, Worker
from proxy.context import Context

log = structlog.get_logger(__name__)

IDLE_SECONDS = 60.0


class Process:
    """The one of this process is made anew in a forked child."""

    def __init__(self, idle_seconds: float = IDLE_SECONDS) -> None:
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._worker: Worker | None = None
        self._stopping = False
        self._woken = False

    def wake(self) -> None:
        """There may be jobs."""
        with self._lock:
            if self._stopping:
                return
            self._woken = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)
                self._thread.start()
            elif self._loop is not None and self._worker is not None:
                self._loop.call_soon_threadsafe(self._worker.wake.set)

    @property
    def is_at_work(self) -> bool:
        with self._lock:
            return self._thread is not None

    def stop(self, seconds: float) -> None:
        """Let jobs end within ``seconds``, and give the others back."""
        with self._lock:
            self._stopping = True
            thread, loop, worker = self._thread, self._loop, self._worker
        if thread is None:
            return
        if loop is not None and worker is not None:
            stopped = asyncio.run_coroutine_threadsafe(worker.stop(seconds), loop)
            try:
                stopped.result(seconds + GIVE_BACK_SECONDS + 5)
            except Exception as error:
                log.error("jobs are left to the sweep", error=type(error).__name__)
        thread.join(10)

    def _work(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception:
            log.exception("the worker of jobs has ended")
        finally:
            with self._lock:
                if self._thread is threading.current_thread():  # else there is another by now
                    self._thread = self._loop = self._worker = None

    async def _serve(self) -> None:
        context = Context()
        await context.start()
        worker = Worker(context)
        with self._lock:
            self._loop, self._worker = asyncio.get_running_loop(), worker
        try:
            while True:
                self._woken = False
                await worker.serve(self._idle_seconds)
                with self._lock:
                    if worker.closing or not self._woken:
                        # Whoever wakes it from here on begins anew.
                        self._loop = self._worker = self._thread = None
                        return
        finally:
            await context.stop()


_process = Process()


def wake() -> None:
    """There may be jobs: have them done by this process. Does not wait for them."""
    _process.wake()


def stop(**_: Any) -> None:
    """The process ends. Takes what Celery's signals send."""
    _process.stop(settings.SHUTDOWN_SECONDS)


def _begin_anew() -> None:
    global _process
    _process = Process()


os.register_at_fork(after_in_child=_begin_anew)
worker_process_shutdown.connect(stop)
worker_shutdown.connect(stop)
