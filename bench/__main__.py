"""bin/bench: measure, print a table, write JSON. Exits 0 when it could measure; a figure that
misses its target is told in the table and by ``--strict`` in the exit code."""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from bench import jobs, ledger, nginx, stage, streams
from bench.books import reconcile
from bench.house import House, open_house
from bench.programs import Failed
from bench.report import Report, machine
from devtools.embedded import EmbeddedError
from devtools.processes import ROOT
from devtools.signals import Stopped
from devtools.supervise import GaveUp

STREAMS = ("cpu", "first-byte", "open", "two", "fallback")
PARTS = (*STREAMS, "jobs", "ledger")
PEERS = "peers"
LOCAL = {"two", "jobs", "ledger"}  # they look at the server's processes


def main() -> int:
    parser = argparse.ArgumentParser(prog="bin/bench", description="Farebox's benchmarks.")
    parser.add_argument(
        "--only", choices=(*PARTS, PEERS), action="append", help="may be given again"
    )
    parser.add_argument(
        "--peers", action="store_true", help="beside LiteLLM, too, in an environment of its own"
    )
    parser.add_argument("--quick", action="store_true", help="half a minute, rough figures")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the figures")
    parser.add_argument(
        "--database", metavar="URL", default="",
        help="measure on this PostgreSQL, in a database kept for that: accounts stay in it",
    )  # fmt: skip
    parser.add_argument("--strict", action="store_true", help="exit 1 when a target is missed")
    told = parser.parse_args()
    try:
        chosen = set(told.only or PARTS) | ({PEERS} if told.peers else set())
        if told.database and (local := sorted(chosen & LOCAL)):
            parser.error(f"with --database leave out {' and '.join(local)}: name parts by --only")
        report = measure(chosen, quick=told.quick, database=told.database)
    except Stopped:
        return 130
    except (Failed, EmbeddedError, GaveUp, OSError) as error:
        say(str(error))
        return 1
    path = told.json or ROOT / "bench" / "results" / f"{datetime.now(UTC):%Y-%m-%d-%H%M%S}.json"
    report.write(path)
    print(report.table())
    for note in report.notes:
        print(note)
    print(f"Written to {path}")
    missed = [line for line in report.lines if line.verdict == "MISS"]
    return 1 if missed and told.strict else 0


def measure(parts: set[str], *, quick: bool, database: str = "") -> Report:
    report = Report()
    if nginx.find() is None:
        report.notes.append(f"{nginx.HOW_TO_GET}; its figures and ratios are left out.")
        say(report.notes[-1])
    effort = stage.QUICK if quick else stage.FULL
    with open_house(100 if quick else 1000, say, database) as house:
        report.facts = machine(house.folder) | {"quick": quick}
        if parts & {*STREAMS, PEERS}:
            streams.measure(house, report, effort, parts)
            prove(house, report)
        if "jobs" in parts:
            house.say("measuring jobs")
            jobs.measure(house, report, quick=quick)
            prove(house, report)
        if "ledger" in parts:
            ledger.measure(house, report, quick=quick)
    report.tell_the_clock()
    return report


def prove(house: House, report: Report) -> None:
    house.say("proving the books")
    report.notes.append(reconcile(house.env, house.database, house.check))


def say(line: str) -> None:
    print(f"bench: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
