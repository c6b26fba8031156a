"""Calling the SQL functions, from synchronous and asynchronous code alike.

A verb is written once, as a function that returns a ``Statement``; ``@verb`` makes it callable in
both worlds: ``ledger.hold(...)`` runs on Django's connection and joins its transaction, and
``await ledger.hold.aio(connection, ...)`` runs on a psycopg connection in autocommit.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

import django.db
import psycopg
from django.db import connection, transaction

from accounts import events
from ledger.errors import translate

P = ParamSpec("P")
T = TypeVar("T")

ATTEMPTS = 4  # the first, and three more after a deadlock


@dataclass(frozen=True)
class Statement(Generic[T]):
    """One SQL statement that answers one row, and how to read that row.

    ``owner`` tells from what was read whose wallet was changed, if any was: when ``run`` has
    committed, their sockets are told. Behind ``arun`` that is the caller's to do.
    """

    sql: str
    params: Mapping[str, Any]
    read: Callable[[Sequence[Any]], T]
    owner: Callable[[T], int | None] = lambda _result: None


class Verb(Generic[P, T]):
    """A verb: call it, or await its ``aio``."""

    def __init__(self, build: Callable[P, Statement[T]]) -> None:
        self.build = build
        self.__doc__ = build.__doc__
        self.__name__ = build.__name__

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        return run(self.build(*args, **kwargs))

    async def aio(self, conn: psycopg.AsyncConnection[Any], *args: P.args, **kwargs: P.kwargs) -> T:
        return await arun(conn, self.build(*args, **kwargs))


def verb(build: Callable[P, Statement[T]]) -> Verb[P, T]:
    """Make a verb of a function that builds its statement."""
    return Verb(build)


def run(statement: Statement[T]) -> T:
    """Run on Django's connection, in its transaction or in one of its own.

    A deadlock is tried again, three times, unless a transaction of the caller's is open: that is
    lost whole, and the caller's to repeat. Raises the errors of ``ledger.errors``.
    """
    for attempt in range(1, ATTEMPTS + 1):
        again = attempt < ATTEMPTS and not connection.in_atomic_block
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(statement.sql, statement.params)
                result = statement.read(cursor.fetchone())
        except django.db.Error as error:
            cause = error.__cause__
            if isinstance(cause, psycopg.errors.DeadlockDetected) and again:
                continue
            refusal = translate(cause) if isinstance(cause, psycopg.Error) else None
            if refusal is None:
                raise
            raise refusal from None
        if (owner := statement.owner(result)) is not None:
            events.changed(owner)
        return result
    raise AssertionError("unreachable")


_cursors: WeakKeyDictionary[psycopg.AsyncConnection[Any], psycopg.AsyncCursor[Any]] = (
    WeakKeyDictionary()
)


def _cursor(conn: psycopg.AsyncConnection[Any]) -> psycopg.AsyncCursor[Any]:
    """The connection's one cursor: making another for each statement costs a third of it."""
    cursor = _cursors.get(conn)
    if cursor is None:
        cursor = _cursors[conn] = conn.cursor()
    return cursor


async def arun(conn: psycopg.AsyncConnection[Any], statement: Statement[T]) -> T:
    """Run on a psycopg connection in autocommit: one round trip, one commit."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            cursor = await _cursor(conn).execute(statement.sql, statement.params)
            row = await cursor.fetchone()
            assert row is not None
            return statement.read(row)
        except psycopg.errors.DeadlockDetected as error:
            if attempt == ATTEMPTS:
                raise translate(error) or error from None
        except psycopg.Error as error:
            raise translate(error) or error from None
    raise AssertionError("unreachable")
