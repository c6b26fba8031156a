"""What one process does for jobs: it takes those that are due, up to ``JOBS_AT_ONCE``, and looks
after those that it holds.

Beside them runs one loop. Each second it asks which jobs are still this worker's, and which are to
be canceled; every third of a lease it renews the leases. A worker that can't reach the database
ends what it does before its leases run out, since others may take it then.
"""

import asyncio
import time
from datetime import timedelta
from uuid import UUID

import structlog
from django.conf import settings

from common.errors import FareboxError
from jobs import uploads, verbs, writing
from jobs.run import Run, Why
from jobs.telling import sending
from jobs.verbs import Claimed
from jobs.writing import AWAY
from proxy.context import Context

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
# Taken at a time, so that several workers share what is there.
CLAIM = 8
AWAY_SECONDS = 1.0
# The least time between two looks for jobs: short ones, each of whose ends makes room, would cost
# as much in looks as in work. A lone job finds a worker that has looked long ago.
ROUND_SECONDS = 0.02
# How long the end of the process waits for jobs to be given back.
GIVE_BACK_SECONDS = 10.0
# How long before its lease ends a job that could not be renewed is given up, of the lease.
MARGIN = 0.2


class Worker:
    """Belongs to one event loop. ``wake`` says that there may be jobs."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.wake = asyncio.Event()
        self.closing = False
        self._room = uploads.Room()
        self._stopped = asyncio.Event()
        self._sending: asyncio.Task[None] | None = None
        self._unsent = False
        self._runs: dict[UUID, Run] = {}
        self._until: dict[UUID, float] = {}  # when the lease ends, by this process's clock
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_idle(self) -> bool:
        return not self._runs

    async def serve(self, idle_seconds: float) -> None:
        """Work until ``stop``, or until nothing was to be done for so long."""
        care = asyncio.create_task(self._care())
        try:
            while not self.closing:
                self.wake.clear()
                await self._fill()
                self._send_webhooks()
                await asyncio.sleep(ROUND_SECONDS)
                try:
                    await asyncio.wait_for(self.wake.wait(), idle_seconds)
                except TimeoutError:
                    if self.is_idle:
                        return
            await self._stopped.wait()
        finally:
            care.cancel()
            beside = [care, *([self._sending] if self._sending else [])]
            await asyncio.gather(*beside, return_exceptions=True)

    async def stop(self, seconds: float) -> None:
        """Take no more; let those that are there end within ``seconds``, give the others back."""
        self.closing = True
        self.wake.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for run in list(self._runs.values()):
            run.end(Why.STOPPED)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=GIVE_BACK_SECONDS)
        self._stopped.set()

    async def _fill(self) -> None:
        lease = timedelta(seconds=settings.JOB_LEASE_SECONDS)
        while not self.closing and (free := settings.JOBS_AT_ONCE - len(self._runs)) > 0:
            limit = min(free, CLAIM)
            began = time.monotonic()
            try:
                claim = verbs.claim.build(limit=limit, lease=lease)
                claimed = await writing.once(self.context.pool, claim)
            except (*AWAY, FareboxError) as error:
                log.warning("no jobs can be taken", error=type(error).__name__)
                asyncio.get_running_loop().call_later(AWAY_SECONDS, self.wake.set)
                return
            for one in claimed:
                self._begin(one, began + lease.total_seconds())
            if len(claimed) < limit:
                return

    def _send_webhooks(self) -> None:
        """Beside the jobs: receivers may be slow."""
        self._unsent = True
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send_all())

    async def _send_all(self) -> None:
        try:
            while self._unsent and not self.closing:
                self._unsent = False
                if await sending.send_due(self.context):
                    self._unsent = True
        except (*AWAY, FareboxError) as error:
            log.warning("webhooks wait", error=type(error).__name__)
        except Exception:
            log.exception("webhooks wait")

    def _begin(self, claimed: Claimed, until: float) -> None:
        self._runs[claimed.id] = run = Run(self.context, claimed, self._room)
        self._until[claimed.id] = until
        task = asyncio.create_task(self._do(run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _do(self, run: Run) -> None:
        again: float | None = None
        try:
            again = await run.work()
        except Exception:
            log.exception("a job is left to the sweep", job=str(run.claimed.id))
        finally:
            self._runs.pop(run.claimed.id, None)
            self._until.pop(run.claimed.id, None)
            if again is not None and not self.closing:
                asyncio.get_running_loop().call_later(again, self.wake.set)
            self.wake.set()  # there is room

    # --- Jobs that are held ----------------------------------------------------------------------

    async def _care(self) -> None:
        """Also while the worker stops: jobs go on then."""
        lease = settings.JOB_LEASE_SECONDS
        renewed = time.monotonic()
        while True:
            await asyncio.sleep(min(LOOK_SECONDS, lease / 6))
            if not self._runs:
                renewed = time.monotonic()
                continue
            due = time.monotonic() - renewed >= lease / 3
            began = time.monotonic()
            try:
                await self._look(renew=due)
                if due:
                    renewed = began
            except (*AWAY, FareboxError) as error:
                log.warning("leases are not renewed", error=type(error).__name__)
            except Exception:
                log.exception("leases are not renewed")
            self._give_up_overdue(lease)

    async def _look(self, *, renew: bool) -> None:
        lease = timedelta(seconds=settings.JOB_LEASE_SECONDS)
        looked = dict(self._runs)
        held = {job: run.claimed.token for job, run in looked.items()}
        began = time.monotonic()
        async with asyncio.timeout(LOOK_SECONDS * 2), self.context.pool.lease() as conn:
            if renew:
                mine = await verbs.renew.aio(conn, held=held, lease=lease)
            else:
                mine = await verbs.look.aio(conn, held=held)
        for job, run in looked.items():
            if self._runs.get(job) is not run:
                continue  # over meanwhile
            if job not in mine:
                run.end(Why.LOST)
            elif mine[job]:
                run.end(Why.CANCELED)
            if renew and job in mine:
                self._until[job] = began + lease.total_seconds()

    def _give_up_overdue(self, lease: float) -> None:
        now = time.monotonic()
        for job, until in list(self._until.items()):
            if now > until - MARGIN * lease and (run := self._runs.get(job)) is not None:
                run.end(Why.LOST)
