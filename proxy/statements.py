"""begin and finish over libpq itself, for what a paid call needs of psycopg and no more.

psycopg makes each statement anew of its text and its values, and watches the connection's socket
anew for each answer; two of them were a third of a paid call. Here a statement is prepared once a
connection, its values go as text, and the socket is watched for as long as nobody else uses the
connection: psycopg's own statements work on it as on any other.
"""

import asyncio
import re
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from typing import Any, TypeVar
from uuid import UUID

import psycopg
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

from ledger.database import ATTEMPTS, Statement
from ledger.errors import translate
from proxy.stepping import wake

T = TypeVar("T")

# A plan that is no more, or answers in other columns than it did. It is made anew.
_OUTDATED = (psycopg.errors.InvalidSqlStatementName, psycopg.errors.FeatureNotSupported)
# What passes when it is tried again.
_AGAIN = (psycopg.errors.DeadlockDetected, *_OUTDATED)

_NAMED = re.compile(r"%\((\w+)\)s")

Write = Callable[[Any], bytes | None]


class _Writers(dict[type, Write]):
    """How values are written, by their type; one that is not listed is written as its base."""

    def __missing__(self, kind: type) -> Write:
        self[kind] = write = next(self[base] for base in kind.__mro__[1:] if base in self)
        return write


# PostgreSQL knows each value's type by where it stands in the statement.
_WRITE = _Writers(
    {
        type(None): lambda _: None,
        bool: lambda value: b"t" if value else b"f",
        bytes: lambda value: b"\\x" + value.hex().encode(),
        int: lambda value: b"%d" % value,
        str: str.encode,
        timedelta: lambda value: b"%d microseconds" % (value // timedelta(microseconds=1)),
        UUID: lambda value: b"%032x" % value.int,
    }
)


class _Text:
    """A statement's text as PostgreSQL takes it, and its values' names in their order."""

    __slots__ = ("sql", "values")

    def __init__(self, sql: str) -> None:
        self.values = tuple(dict.fromkeys(_NAMED.findall(sql)))
        places = {value: f"${place}" for place, value in enumerate(self.values, 1)}
        self.sql = _NAMED.sub(lambda match: places[match[1]], sql).encode()


_text = lru_cache(maxsize=256)(_Text)


class Connection(psycopg.AsyncConnection[Any]):
    """A connection in autocommit that also runs statements in this file's way: ``run``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._plans: dict[str, bytes] = {}  # the names of statements, by their text
        self._planned = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watched = -1  # the socket, while it is watched
        self._answered: asyncio.Future[None] | None = None
        self._reader = Transformer(self)

    async def run(self, statement: Statement[T]) -> T:
        """One round trip, one commit. Raises the errors of ``ledger.errors``, and psycopg's."""
        for attempt in range(1, ATTEMPTS + 1):
            result = await self._execute(statement)
            if result.status == ExecStatus.TUPLES_OK:
                self._reader.set_pgresult(result)
                return statement.read(self._reader.load_row(0, tuple))
            error = error_from_result(result, encoding="utf-8")
            if isinstance(error, _OUTDATED):
                self._plans.pop(statement.sql, None)
            if attempt == ATTEMPTS or not isinstance(error, _AGAIN):
                raise translate(error) or error
        raise AssertionError("unreachable")

    async def _execute(self, statement: Statement[Any]) -> PGresult:
        text, pgconn, params = _text(statement.sql), self.pgconn, statement.params
        values = [_WRITE[type(value)](value) for value in map(params.__getitem__, text.values)]
        try:
            name = self._plans.get(statement.sql)
            if name is None:
                self._planned += 1  # one that was outdated keeps its name
                name = b"farebox_%d" % self._planned
                pgconn.send_prepare(name, text.sql)
                result = await self._result()
                if result.status != ExecStatus.COMMAND_OK:
                    return result
                self._plans[statement.sql] = name
            pgconn.send_query_prepared(name, values)
            return await self._result()
        except psycopg.Error:
            self._unwatch()  # libpq may have closed the socket, and its number be given to another
            raise

    async def _result(self) -> PGresult:
        """Wait for the answer to what was sent, and read all of it."""
        pgconn, found = self.pgconn, None
        if self._watched < 0:
            self._watch()
        if pgconn.flush():  # more than the kernel took at once
            await self._flushed()
        while True:
            if pgconn.is_busy():
                assert self._loop is not None
                self._answered = self._loop.create_future()
                try:
                    await self._answered
                finally:
                    self._answered = None
            result = pgconn.get_result()
            if result is None:
                assert found is not None
                return found
            found = result

    async def _flushed(self) -> None:
        assert self._loop is not None
        pgconn, loop = self.pgconn, self._loop
        while pgconn.flush():
            writable = loop.create_future()
            loop.add_writer(self._watched, wake, writable)
            try:
                await writable
            finally:
                loop.remove_writer(self._watched)

    def _watch(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._watched = self.pgconn.socket
        self._loop.add_reader(self._watched, self._came)

    def _unwatch(self) -> None:
        if self._watched >= 0:
            assert self._loop is not None
            self._loop.remove_reader(self._watched)
            self._watched = -1

    def _came(self) -> None:
        """Bytes from the server, or its end: both are for who waits, if anybody does."""
        answered = self._answered
        try:
            self.pgconn.consume_input()
            if answered is not None and not self.pgconn.is_busy():
                wake(answered)
        except psycopg.Error as error:
            self._unwatch()
            if answered is not None and not answered.done():
                answered.set_exception(error)

    # psycopg's side: it watches the socket by itself, and must find it as it expects.

    async def wait(self, *args: Any, **kwargs: Any) -> Any:
        self._unwatch()
        return await super().wait(*args, **kwargs)

    async def close(self) -> None:
        self._unwatch()
        await super().close()
