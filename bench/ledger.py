"""The parts on the database alone: pairs a second, on many wallets and on one, and what a pair
costs when the books are long."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from bench.books import balanced, reconcile
from bench.house import House
from bench.pairs import Plan
from bench.programs import cpu_seconds
from bench.report import Figure, Line, Report

CONNECTIONS = 16  # as many as the proxy's pool has at most
_HISTORY = Path(__file__).with_name("history.sql")
# Tables whose rows a pair updates in place.
_UPDATED = ("ledger_account", "ledger_grant", "ledger_hold", "usage_monthlyusage")


@dataclass(frozen=True)
class Effort:
    """Calls in the past of each wallet, few and many; how long and how often to measure."""

    few: int
    many: int
    seconds: float
    repeats: int


FULL = Effort(few=10, many=1000, seconds=4.0, repeats=5)
QUICK = Effort(few=10, many=100, seconds=1.0, repeats=1)


def measure(house: House, report: Report, *, quick: bool) -> None:
    """Copy the database twice, give one a short past and one a long one, and take turns."""
    effort = QUICK if quick else FULL
    short = copy(house, "short_past")
    long = copy(house, "long_past")
    rows = {short: fill(house, short, effort.few), long: fill(house, long, effort.many)}
    everybody = tuple(account.key for account in house.accounts)
    house.say(f"measuring begin + finish beside {rows[short]} and {rows[long]} transfers")
    many: dict[str, list[dict[str, Any]]] = {short: [], long: []}
    alone: list[dict[str, Any]] = []
    for database in (short, long):  # each wallet once, so that its pages are in memory
        pairs(house, database, everybody, effort.seconds)
    for _ in range(effort.repeats):
        report.look_at_the_clock()
        for database in (short, long):
            many[database].append(pairs(house, database, everybody, effort.seconds))
        alone.append(pairs(house, short, everybody[:1], effort.seconds))
    add_lines(report, rows, many, alone)
    for database in (short, long):
        report.details[f"updates beside {rows[database]} transfers"] = updates(database)
        house.say(f"proving the books with {rows[database]} transfers of the past")
        report.notes.append(reconcile(house.env, database, house.check))


def copy(house: House, name: str) -> str:
    """A copy of the seeded database; its address."""
    parts = urlsplit(house.database)
    source = parts.path.lstrip("/")
    with psycopg.connect(
        urlunsplit(parts._replace(path="/postgres")), autocommit=True
    ) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(source)
            )
        )
    return urlunsplit(parts._replace(path=f"/{name}"))


def fill(house: House, database: str, calls: int) -> int:
    """Give each wallet a past; answers how many transfers there are then."""
    house.say(f"writing {calls} past calls for each of {len(house.accounts)} wallets")
    with psycopg.connect(database, autocommit=True) as connection:
        # Parameters are whole numbers, and the file holds several statements.
        text = _HISTORY.read_text() % {"calls": int(calls), "price": int(house.price)}
        connection.execute(text.encode())
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("CHECKPOINT")
        row = connection.execute("SELECT count(*) FROM ledger_transfer").fetchone()
    assert row is not None
    return int(row[0])


def pairs(house: House, database: str, keys: tuple[str, ...], seconds: float) -> dict[str, Any]:
    """Run pairs for a while; what was seen, and the database's own CPU for each pair."""
    plan = Plan(database, keys, CONNECTIONS, seconds, house.price)
    before = postgres_cpu(house.folder)
    with balanced(database) as tally:
        seen: dict[str, Any] = json.loads(house.run("bench.pairs", told=plan.as_json()))
        tally.add(seen["pairs"])
    spent = postgres_cpu(house.folder) - before
    return seen | {"postgres_cpu_ms": spent * 1000 / seen["pairs"]}


def postgres_cpu(folder: Path) -> float:
    """Seconds of CPU of the cluster's processes so far."""
    return cpu_seconds(int((folder / "postgres" / "postmaster.pid").read_text().split()[0]))


def updates(database: str) -> dict[str, Any]:
    """How many updates of a table stayed heap-only, touching no index."""
    with psycopg.connect(database) as connection:
        rows = connection.execute(
            "SELECT relname, n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables"
            " WHERE relname = ANY (%s)",
            [list(_UPDATED)],
        ).fetchall()
    return {name: {"updates": done, "heap_only": hot} for name, done, hot in rows}


def add_lines(
    report: Report,
    rows: dict[str, int],
    many: dict[str, list[dict[str, Any]]],
    alone: list[dict[str, Any]],
) -> None:
    short, long = many
    report.details["ledger"] = {"transfers": list(rows.values()), "many": list(many.values()),
                                "one wallet": alone}  # fmt: skip

    def figure(seen: list[dict[str, Any]], name: str) -> Figure:
        return Figure.of([one[name] for one in seen])

    beside = f"at {rows[long]:,} rows"
    add = report.lines.append
    add(Line("ledger", "begin + finish, all wallets", "/s", figure(many[short], "a_second"),
             None, 800.0, beside, figure(many[long], "a_second")))  # fmt: skip
    add(Line("ledger", "begin + finish, one wallet", "/s", figure(alone, "a_second"),
             None, 400.0))  # fmt: skip
    ratios = [
        few["a_second"] / lots["a_second"]
        for few, lots in zip(many[short], many[long], strict=True)
    ]
    what = f"time a pair at {rows[long]:,} rows, times that at {rows[short]:,}"
    add(Line("ledger", what, "x", Figure.of(ratios), 1.3))
    add(Line("ledger", "CPU of PostgreSQL a pair", "ms", figure(many[short], "postgres_cpu_ms"),
             None, None, beside, figure(many[long], "postgres_cpu_ms")))  # fmt: skip
