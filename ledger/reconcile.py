"""Proving the books: every check, in one snapshot of the database.

The snapshot is one repeatable-read, read-only transaction, so calls that go on meanwhile never
look like violations, and nothing waits for the proof. Other apps add rules of their own with
``add``, from their ``AppConfig.ready``; the ledger knows none of them.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from ledger import checks
from ledger.checks import Check
from ledger.models import Reconciliation

CHECKS: list[Check] = list(checks.CHECKS)
COUNTS: dict[str, str] = dict(checks.COUNTS)

SHOWN = 1000  # violations listed of one check; more are only said to be there


def add(more: Iterable[Check], counts: Mapping[str, str]) -> None:
    """Make another app's checks and counts part of every run."""
    CHECKS.extend(more)
    COUNTS.update(counts)


@dataclass(frozen=True)
class Books:
    """Somebody else's books that ours are compared with, when asked for by ``name``. ``compare``
    answers what was counted, and a line for each difference."""

    name: str
    help: str
    compare: Callable[[], tuple[dict[str, int], list[str]]]


OTHERS: list[Books] = []


def reconcile() -> Reconciliation:
    """Run every check, and keep what was found as a ``Reconciliation``.

    Must not be called inside a transaction: it needs a snapshot of its own, and raises
    ``RuntimeError`` there.
    """
    started = time.monotonic()
    with _snapshot() as cursor:
        counts = {name: _count(cursor, sql) for name, sql in COUNTS.items()}
        violations = [line for check in CHECKS for line in _violations(cursor, check)]
    return Reconciliation.objects.create(
        seconds=Decimal(f"{time.monotonic() - started:.3f}"), counts=counts, violations=violations
    )


@contextmanager
def _snapshot() -> Iterator[CursorWrapper]:
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        # The sums are few and large. So: memory for hashing, plans that read each table through,
        # and no compiling of ever new queries.
        cursor.execute(
            "SET LOCAL work_mem = '64MB'; SET LOCAL jit = off;"
            " SET LOCAL enable_mergejoin = off; SET LOCAL enable_memoize = off"
        )
        yield cursor


def _count(cursor: CursorWrapper, sql: str) -> int:
    cursor.execute(sql)
    return int(cursor.fetchone()[0])


def _violations(cursor: CursorWrapper, check: Check) -> list[str]:
    cursor.execute(f"SELECT * FROM ({check.sql}) violations LIMIT {SHOWN + 1}")
    names = [column.name for column in cursor.description]
    lines = [check.line.format_map(dict(zip(names, row, strict=True))) for row in cursor]
    if len(lines) > SHOWN:
        lines[SHOWN:] = [f"{check.name}: more than {SHOWN} violations; the rest is not listed"]
    return lines
