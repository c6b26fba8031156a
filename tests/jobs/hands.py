"""A worker of jobs in a thread of the test's process."""

import asyncio
import threading

from jobs.worker import Worker
from proxy.context import Context


class Hand:
    """``jobs.worker.Worker`` with a loop of its own. ``wake`` is the hint."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))
        self.worker: Worker | None = None
        self.loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> "Hand":
        self._thread.start()
        assert self._ready.wait(30)
        return self

    async def _main(self) -> None:
        context = Context()
        await context.start()
        self.worker, self.loop = Worker(context), asyncio.get_running_loop()
        self._ready.set()
        try:
            while not self.worker.closing:
                await self.worker.serve(3600)
        finally:
            await context.stop()

    def wake(self) -> None:
        assert self.loop is not None
        assert self.worker is not None
        self.loop.call_soon_threadsafe(self.worker.wake.set)

    def stop(self, seconds: float = 10) -> None:
        if self._thread.is_alive():
            assert self.loop is not None
            assert self.worker is not None
            asyncio.run_coroutine_threadsafe(self.worker.stop(seconds), self.loop).result(60)
            self._thread.join(30)
            assert not self._thread.is_alive()
