"""What one process keeps: the pool, the HTTP client, the catalog, and the calls that are open.

Loops run beside the calls. Each second: calls whose phase is overdue are cut; metrics are handed
over. Every ``CHECKPOINT_SECONDS``: one statement renews the leases of all open calls and keeps what
each has cost so far. Every few seconds: providers and catalog are read anew, and token ratios are
exchanged.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any

import psycopg
import structlog
from django.conf import settings

from common.errors import FareboxError
from proxy import metrics, settle
from proxy.call import Call, Cut
from proxy.limits import AddressLimit, Buckets
from proxy.pool import Pool
from proxy.providers import Providers
from proxy.ratios import Ratios
from proxy.upstream import Upstream
from usage import calls, catalog, providers

log = structlog.get_logger(__name__)

WATCH_SECONDS = 1.0
RELOAD_SECONDS = 5.0
# A checkpoint is skipped for calls younger than this: they mostly end before it would matter.
YOUNG_SECONDS = 1.0
# How long the end of the process waits for calls to be booked. Hosts that allow 30 seconds between
# SIGTERM and SIGKILL leave that much after the 20 of SHUTDOWN_SECONDS.
FINISH_SECONDS = 6.0


class Context:
    """Made lazily by the first request or by the server's start-up; ``stop`` ends it."""

    def __init__(self) -> None:
        self.pool = Pool(
            settings.DATABASE_URL,
            min_size=1,
            max_size=settings.PROXY_POOL_SIZE,
            timeout=2.0,
            # Attempts pause ever longer, and while one pauses nobody else tries: after an outage
            # of a minute the pool would stay away for another. Giving up starts them afresh.
            reconnect_timeout=2.0,
            open=False,
            kwargs={
                "autocommit": True,
                "options": settings.DATABASES["default"]["OPTIONS"]["options"],
                "connect_timeout": 5,
            },
        )
        self.upstream = Upstream(settings.UPSTREAM_CONNECT_SECONDS)
        self.providers = Providers()
        self.catalog = catalog.Catalog()
        self.ratios = Ratios()
        self.addresses = AddressLimit(
            settings.PROXY_RATE_ADDRESS, behind_proxies=settings.ALLAUTH_TRUSTED_PROXY_COUNT > 0
        )
        self.counting = Buckets(settings.PROXY_RATE_COUNT_TOKENS)
        self.open: dict[int, Call] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._lingering: set[asyncio.Task[Any]] = set()
        self._loops: list[asyncio.Task[Any]] = []
        self._loaded = False
        self._measured = 0.0
        self.closing = False

    async def start(self) -> None:
        """Open the pool, read the catalog, start the loops. A database that is away is no error:
        calls are refused until it is back."""
        await self.pool.open()
        try:
            await self._reload()
        except (psycopg.Error, FareboxError) as error:
            log.warning("catalog not read", error=type(error).__name__)
        self._loops = [
            asyncio.create_task(_every(WATCH_SECONDS, self._watch)),
            asyncio.create_task(_every(WATCH_SECONDS, self._measure)),
            asyncio.create_task(_every(settings.CHECKPOINT_SECONDS, self._checkpoint)),
            asyncio.create_task(_every(RELOAD_SECONDS, self._reload)),
        ]

    def cut(self) -> None:
        """End every call that is open, and whatever is still read for a client that has left.

        A call that is just being begun ends as soon as it has.
        """
        self.closing = True
        for call in list(self.open.values()):
            call.end_early(Cut.STOPPED)
        for drained in list(self._lingering):
            drained.cancel()

    async def stop(self, drain_seconds: float = 0.0) -> None:
        """Let drains go on for so long, cut what is left, wait for every finish, then close.

        Leases are renewed until the last of it. A finish that takes ``FINISH_SECONDS``, because the
        database is away, is left to the sweep.
        """
        if self._lingering and drain_seconds:
            await asyncio.wait(self._lingering, timeout=drain_seconds)
        self.cut()
        cut = {call.task for call in self.open.values() if call.task is not None}
        if cut:  # they have a moment for their last words
            await asyncio.wait(cut, timeout=FINISH_SECONDS)
        await asyncio.gather(*self._lingering, return_exceptions=True)
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=FINISH_SECONDS)
            if late:
                log.error("left to the sweep", calls=len(late))
        for task in (*self._loops, *self._tasks):
            task.cancel()
        await asyncio.gather(*self._loops, *self._tasks, return_exceptions=True)
        metrics.publish()
        await self.upstream.close()
        await self.pool.close()

    async def ready(self) -> catalog.Catalog:
        """The catalog. Raises ``Unavailable`` while it could never be read."""
        if not self._loaded:
            try:
                await self._reload()
            except psycopg.Error:
                raise settle.unavailable() from None
        return self.catalog

    def detach(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run in a task that nobody's disconnect cancels; ``stop`` waits for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def linger(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run in a task that nobody's disconnect cancels, and ``cut`` does: at once, if that was
        before."""
        task = asyncio.create_task(work)
        self._lingering.add(task)
        task.add_done_callback(self._lingering.discard)
        if self.closing:
            task.cancel()
        return task

    def finish(self, call: Call, status: str, error: str = "") -> asyncio.Task[Any]:
        """End a call, detached. Until that has succeeded its lease goes on being renewed."""

        async def work() -> None:
            try:
                done = await settle.finish(self.pool, self.ratios, call, status, error)
                call.spent = done.spent if done else None
            finally:
                self.open.pop(id(call), None)

        return self.detach(work())

    async def _watch(self) -> None:
        now = time.monotonic()
        for call in list(self.open.values()):
            if now > call.deadline:
                call.end_early(call.overdue)
            elif now > call.until:
                call.end_early(Cut.OVERDUE)

    async def _measure(self) -> None:
        now = time.monotonic()
        lag = now - self._measured - WATCH_SECONDS if self._measured else 0.0
        self._measured = now
        metrics.publish()
        metrics.show(self.open.values(), self.providers.states(), self.pool.get_stats(), lag)

    async def _checkpoint(self) -> None:
        old = time.monotonic() - YOUNG_SECONDS
        due = {
            call.id: call.checkpoint(self.ratios)
            for call in self.open.values()
            if call.started < old
        }
        if due:
            lease = timedelta(seconds=settings.HOLD_LEASE_SECONDS)
            async with self.pool.connection() as conn:
                await calls.checkpoint.aio(conn, calls=due, lease=lease)

    async def _reload(self) -> None:
        async with self.pool.connection() as conn:
            found = await providers.load.aio(conn)
            names = [provider.name for provider in found]
            self.catalog = await catalog.load.aio(conn, providers=names)
            self.providers.refresh(found)
            self._loaded = True
            await self.ratios.exchange(conn)


async def _every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except (psycopg.Error, FareboxError, OSError) as error:  # a lock comes as one of ours
            log.warning("will try again", work=work.__name__, error=type(error).__name__)
        except Exception:  # no lease would be renewed any more, nor anything cut that is overdue
            log.exception("will try again", work=work.__name__)
