"""After each part: whether what was called is what was counted, spent and nothing held."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from bench.programs import Failed
from devtools.prepare import CannotStart, manage
from devtools.processes import ROOT

_STATE = """
SELECT (SELECT count(*) FROM usage_call),
       (SELECT coalesce(sum(spent), 0) FROM usage_call),
       (SELECT coalesce(sum(posted), 0) FROM ledger_account WHERE kind = 'wallet'),
       (SELECT coalesce(sum(held), 0) FROM ledger_account WHERE kind = 'wallet'),
       (SELECT count(*) FROM ledger_hold WHERE state = 'open'),
       (SELECT count(*) FROM usage_call WHERE status <> 'completed' OR estimated)
"""


@dataclass(frozen=True)
class State:
    """Calls and microcredits of a whole database."""

    calls: int
    spent: int
    posted: int
    held: int
    open_holds: int
    odd: int

    @classmethod
    def read(cls, database: str) -> "State":
        with psycopg.connect(database) as connection:
            row = connection.execute(_STATE).fetchone()
        assert row is not None
        return cls(*(int(value) for value in row))


class Tally:
    """Counts the calls that the load generator saw whole."""

    def __init__(self) -> None:
        self.calls = 0

    def add(self, calls: int) -> None:
        self.calls += calls


@contextmanager
def balanced(database: str) -> Iterator[Tally]:
    """Raise ``Failed`` unless, at the end, each call tallied is recorded and paid."""
    before = State.read(database)
    tally = Tally()
    yield tally
    after = State.read(database)
    calls, spent = after.calls - before.calls, after.spent - before.spent
    problems = []
    if calls != tally.calls:
        problems.append(f"{tally.calls} calls were made, {calls} are recorded")
    if after.odd != before.odd:
        problems.append(f"{after.odd - before.odd} calls did not end as completed and exact")
    if before.posted - after.posted != spent:
        problems.append(f"{spent} was spent, {before.posted - after.posted} left the wallets")
    if tally.calls and not spent:
        problems.append("nothing was spent")
    if after.held or after.open_holds:
        problems.append(f"{after.held} is still held by {after.open_holds} holds")
    if problems:
        raise Failed("the books don't hold: " + "; ".join(problems))


def reconcile(env: Mapping[str, str], database: str, check: Callable[[], None]) -> str:
    """Run ``manage.py reconcile``; answers its line. Raises ``Failed`` when it finds anything."""
    if not (ROOT / "ledger" / "management" / "commands" / "reconcile.py").exists():
        return "reconcile: there is no such command yet"
    try:
        return manage({**env, "DATABASE_URL": database}, check, "reconcile", "--skip-checks")[-1]
    except CannotStart as error:
        raise Failed(str(error)) from None
