"""The proxy's connections to PostgreSQL."""

import asyncio
import time
from collections import deque
from types import TracebackType
from typing import Any

from psycopg.pq import TransactionStatus
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from proxy.statements import Connection


class _Stack(deque[Any]):
    """Gives back last what came in last."""

    def popleft(self) -> Any:
        return self.pop()


class Pool(AsyncConnectionPool[Connection]):
    """A pool that hands out the connection used last, whose server process is still warm.

    psycopg's own takes the one that waited longest, and so goes round all of them: with 16 idle
    ones a lone caller's first byte was measured to come a millisecond later.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, connection_class=Connection, **kwargs)
        self._pool = _Stack()

    def lease(self) -> "Lease":
        """``connection`` for statements in autocommit, without its ceremony: that is a tenth of
        what a paid call costs. What is not an idle connection given back well, or handed on to who
        waits for one, is the pool's own to deal with. Raises ``PoolTimeout``."""
        return Lease(self)

    async def next_free(self) -> Connection:
        """A connection that somebody gives back, or that is made now that one is asked for."""
        turn = _Turn(asyncio.get_running_loop().create_future())
        self._check_open_getconn()
        self._stats[self._REQUESTS_QUEUED] += 1
        self._waiting.append(turn)  # type: ignore[arg-type]
        self._maybe_grow_pool()
        began = time.monotonic()
        timer = turn.given.get_loop().call_later(self.timeout, turn.late, self.timeout)
        try:
            found: Connection = await turn.given
        except BaseException:
            self._stats[self._REQUESTS_ERRORS] += 1
            if turn.given.done() and not turn.given.cancelled() and not turn.given.exception():
                self.give_back(turn.given.result())  # it came at the last moment
            raise
        finally:
            timer.cancel()
            self._stats[self._REQUESTS_WAIT_MS] += int(1000 * (time.monotonic() - began))
        return found

    def give_back(self, used: Connection) -> bool:
        """Take back a connection that is as it was given out, or hand it on; false, and nothing
        done, where it is not, or psycopg's own queue is to be served."""
        if (
            self._closed
            or used.pgconn.transaction_status != TransactionStatus.IDLE
            or used._created_at <= self._drained_at
            or used._expire_at <= time.monotonic()
        ):
            return False
        waiting = self._waiting
        while waiting:
            turn: Any = waiting[0]
            if not isinstance(turn, _Turn):
                return False
            waiting.popleft()
            if turn.give(used):
                return True
        used._pool = None
        self._pool.append(used)
        return True


class _Turn:
    """A place in the pool's queue, such as psycopg's ``WaitingClient``, without locks: all of a
    process's calls are in one thread."""

    __slots__ = ("given",)

    def __init__(self, given: asyncio.Future[Connection]) -> None:
        self.given = given

    def give(self, connection: Connection) -> bool:
        """Whether it is still waited for, and so given."""
        if self.given.done():
            return False
        self.given.set_result(connection)
        return True

    def late(self, seconds: float) -> None:
        if not self.given.done():
            told = f"couldn't get a connection after {seconds:.2f} sec"
            self.given.set_exception(PoolTimeout(told))

    async def set(self, connection: Connection) -> bool:
        return self.give(connection)

    async def fail(self, error: Exception) -> bool:
        if self.given.done():
            return False
        self.given.set_exception(error)
        return True


class Lease:
    """``async with pool.lease() as connection``."""

    __slots__ = ("_connection", "_pool")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def __aenter__(self) -> Connection:
        pool = self._pool
        idle = pool._pool
        pool._stats[pool._REQUESTS_NUM] += 1
        if idle and not pool._closed:
            found: Connection = idle.popleft()
            pool._nconns_min = min(pool._nconns_min, len(idle))  # by which the pool shrinks
        else:
            found = await pool.next_free()
        found._pool = pool
        self._connection = found
        return found

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._pool.give_back(self._connection):
            await self._pool.putconn(self._connection)
