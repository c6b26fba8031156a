"""Two web processes beside one: how many more calls they serve, and what stopped them."""

import os
import time
from dataclasses import dataclass

import psutil

from bench.books import Tally
from bench.ledger import postgres_cpu
from bench.load import Plan, Target
from bench.report import Figure, Line
from bench.stage import CALLERS, EVENTS, Stage

# Of all cores, busy for so much of the time: there is nothing left to share out.
_FULL = 0.9
_WANTED = 1.7


@dataclass(frozen=True)
class Seen:
    """Calls a second, and for how many cores' time the machine and PostgreSQL were busy."""

    a_second: float
    busy: float
    postgres: float


def two_processes(stage: Stage, tally: Tally) -> None:
    """The same load on one process and on two, taking turns."""
    one: list[Seen] = []
    two: list[Seen] = []
    with stage.house.web(workers=2) as (_, port):
        both = Target("farebox", port, stage.farebox.keys)
        warm = Plan((both,), stage.body(EVENTS, 0), EVENTS, CALLERS, 10)
        stage.load(warm, tally)
        for _ in range(stage.effort.repeats):
            stage.report.look_at_the_clock()
            one.append(run(stage, stage.farebox, tally))
            two.append(run(stage, both, tally))
    stage.report.details["two"] = {"one": [vars(s) for s in one], "two": [vars(s) for s in two]}
    _lines(stage, one, two)


def run(stage: Stage, target: Target, tally: Tally) -> Seen:
    """Twice as many callers as elsewhere, so that both processes have enough to do."""
    plan = Plan((target,), stage.body(EVENTS, 0), EVENTS, 2 * CALLERS, stage.effort.two_rounds // 2)
    began, idle, database = time.monotonic(), _idle(), postgres_cpu(stage.house.folder)
    found = stage.load(plan, tally)["farebox"]
    elapsed = time.monotonic() - began
    cores = os.cpu_count() or 1
    return Seen(
        found["calls"] / found["seconds"],
        cores - (_idle() - idle) / elapsed,
        (postgres_cpu(stage.house.folder) - database) / elapsed,
    )


def _idle() -> float:
    """Seconds that all cores together have been idle for."""
    times = psutil.cpu_times()
    return float(times.idle + getattr(times, "iowait", 0.0))


def _lines(stage: Stage, one: list[Seen], two: list[Seen]) -> None:
    cores = os.cpu_count() or 1
    busy = Figure.of([seen.busy for seen in two]).median
    # What serves one process, and loads it, is to serve two: where that is more than there are
    # cores, nothing but cores could help, however idle they look while the load begins and ends.
    needed = _WANTED * Figure.of([seen.busy for seen in one]).median
    full = busy >= _FULL * cores or needed > cores
    add = stage.report.lines.append
    add(Line("two", "calls a second, one process", "/s", Figure.of([s.a_second for s in one])))
    add(Line("two", "calls a second, two processes", "/s", Figure.of([s.a_second for s in two])))
    ratios = [second.a_second / first.a_second for first, second in zip(one, two, strict=True)]
    least = None if full else _WANTED
    add(Line("two", "two processes, times one", "x", Figure.of(ratios), None, least))
    postgres = Figure.of([seen.postgres for seen in two]).median
    limit = "the cores are the limit" if full else "neither cores nor PostgreSQL are used up"
    stage.report.notes.append(
        f"Under two processes {busy:.2f} of {cores} cores were busy, {postgres:.2f} of them with "
        f"PostgreSQL, and {_WANTED} times one process's load would take {needed:.2f}: {limit}."
    )
