"""Doing things at the same moment, on connections of their own."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import psycopg

from ledger.database import Verb
from ledger.errors import translate

T = TypeVar("T")


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
