"""What a worker writes of an attempt, over a database that may be away for a moment.

An item that nobody tells of any more was asked, as far as the sweep can know, and is booked as if
its provider had charged for it. So what a worker knows better it goes on trying to say, for as long
as nobody else may have the job.
"""

import asyncio
import time
from typing import TypeVar

import psycopg
from django.conf import settings
from psycopg_pool import PoolTimeout

from common.errors import Unavailable
from ledger.database import Statement
from proxy.pool import Pool

AWAY = (psycopg.Error, PoolTimeout, OSError, Unavailable)
LONGEST_PAUSE = 2.0

T = TypeVar("T")


async def once(pool: Pool, statement: Statement[T]) -> T:
    """Run a statement. Raises one of ``AWAY``, and the errors of ``ledger.errors``."""
    async with pool.lease() as conn:
        return await conn.run(statement)


async def patiently(pool: Pool, statement: Statement[T]) -> T:
    """The same, again and again for the time of a lease; for a statement that may be run twice."""
    deadline, pause = time.monotonic() + settings.JOB_LEASE_SECONDS, 0.1
    while True:
        try:
            return await once(pool, statement)
        except AWAY:
            if time.monotonic() + pause > deadline:
                raise
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
