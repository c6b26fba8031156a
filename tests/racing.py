"""Doing things at the same moment, on connections of their own.

A control shows what goes wrong when several look before one of them acts. How long that takes
them is the machine's affair, so they don't sleep in between but wait until all have looked:
``Meeting().point`` stands there in their SQL, and ``expect`` says how many are to come.
"""

import itertools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import psycopg

from ledger.database import Verb
from ledger.errors import translate

T = TypeVar("T")
_ROOMS = itertools.count(1_000, 2)


def on(conn: psycopg.Connection[Any], verb: Verb[..., T], **arguments: Any) -> T:
    """Call a verb on a psycopg connection; raises what its callers see, or psycopg's error."""
    statement = verb.build(**arguments)
    try:
        row = conn.execute(statement.sql, statement.params).fetchone()
    except psycopg.Error as error:
        raise translate(error) or error from None
    assert row is not None
    return statement.read(row)


def at_once(work: Sequence[Callable[[], T]]) -> list[T]:
    """Run every callable in a thread of its own, all let go at one moment; answers in order.

    The first exception is raised, after all have ended.
    """
    gate = threading.Barrier(len(work))

    def start(one: Callable[[], T]) -> T:
        gate.wait(timeout=30)
        return one()

    with ThreadPoolExecutor(len(work)) as pool:
        futures = [pool.submit(start, one) for one in work]
    return [future.result() for future in futures]


class Meeting:
    """Sessions of one database wait for each other at ``point``; whom nobody expects goes on."""

    # Locks, which others see at once, whatever their transactions see. They are the sessions' own,
    # so that who has been here counts as here to the end. A session that never comes is not waited
    # for longer than half a minute.
    _POINT = """
    PERFORM pg_advisory_lock({come}, pg_backend_pid());
    WHILE clock_timestamp() < statement_timestamp() + interval '30 s' AND (
        SELECT count(*) FILTER (WHERE classid = {come}) < count(*) FILTER (WHERE classid = {due})
        FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    ) LOOP
        PERFORM pg_sleep(0.005);
    END LOOP;
    """

    def __init__(self) -> None:
        self._due = next(_ROOMS)
        self.point = self._POINT.format(come=self._due + 1, due=self._due)

    def expect(self, conn: psycopg.Connection[Any], sessions: int) -> None:
        """So many will come, as long as ``conn`` is open."""
        conn.execute(
            "SELECT pg_advisory_lock(%s, n) FROM generate_series(1, %s) n", [self._due, sessions]
        )
