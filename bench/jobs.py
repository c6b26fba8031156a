"""Jobs that do nothing, over HTTP and through two workers: how many a second from the first request
to the last job's end, what that costs each program, and how long a lone job waits for a worker."""

import json
import statistics
import time
from dataclasses import dataclass
from typing import Any

import psycopg

from bench.house import House
from bench.ledger import postgres_cpu
from bench.posts import Plan
from bench.programs import Failed, Program
from bench.report import Figure, Line, Report

CALLERS = 20
_WAIT_SECONDS = 120.0
_OPEN = "SELECT count(*) FROM jobs_job WHERE finished IS NULL"
_ENDED = """
SELECT count(*), extract(epoch FROM max(finished))::float, max(attempts) FROM jobs_job
WHERE id = ANY (%s::uuid[]) AND state = 'done'
"""
_BEGUN = """
SELECT id::text, extract(epoch FROM started)::float FROM jobs_job WHERE id = ANY (%s::uuid[])
"""


@dataclass(frozen=True)
class Effort:
    """Jobs in a round, how many rounds, and how many jobs one by one."""

    jobs: int
    repeats: int
    alone: int


FULL = Effort(jobs=4000, repeats=5, alone=200)
QUICK = Effort(jobs=500, repeats=1, alone=40)


def measure(house: House, report: Report, *, quick: bool) -> None:
    effort = QUICK if quick else FULL
    with house.web() as (web, port), house.worker() as worker:
        drained(house, 50, port)  # which also waits for the workers
        rounds = []
        for _ in range(effort.repeats):
            report.look_at_the_clock()
            rounds.append(drained(house, effort.jobs, port, web=web, worker=worker))
        waits = alone(house, effort.alone, port)
    report.details["jobs"] = {"rounds": rounds, "waits": waits}
    add_lines(report, rounds, waits)


def drained(house: House, jobs: int, port: int, **programs: Program) -> dict[str, float]:
    """Post so many jobs and have them done; jobs a second, and CPU of each program a job, ms."""
    keys = tuple(account.key for account in house.accounts)
    before = {name: program.cpu_seconds() for name, program in programs.items()}
    database = postgres_cpu(house.folder)
    seen = posted(house, Plan(port, keys, jobs, CALLERS))
    answered = max(when for _, when, _ in seen["jobs"]) - seen["started"]
    with psycopg.connect(house.database, autocommit=True) as connection:
        deadline = time.monotonic() + _WAIT_SECONDS
        while number(connection, _OPEN):
            if time.monotonic() > deadline:
                raise Failed("the jobs are not done")
            time.sleep(0.05)
        row = connection.execute(_ENDED, [[job for job, _, _ in seen["jobs"]]]).fetchone()
    assert row is not None
    done, last, attempts = row
    if (done, attempts) != (jobs, 1):
        raise Failed(f"{done} of {jobs} jobs are done, in {attempts} attempts")
    cost = {name: program.cpu_seconds() - before[name] for name, program in programs.items()}
    cost["postgres"] = postgres_cpu(house.folder) - database
    return {
        "a_second": jobs / (last - seen["started"]),
        "posts_a_second": jobs / answered,
        **{name: seconds * 1000 / jobs for name, seconds in cost.items()},
    }


def alone(house: House, jobs: int, port: int) -> dict[str, list[float]]:
    """One job at a time, with pauses: what each request took, and how long after its answer its
    worker began, milliseconds."""
    seen = posted(house, Plan(port, (house.accounts[0].key,), jobs, 1, pause=0.15))
    with psycopg.connect(house.database, autocommit=True) as connection:
        drained_by = time.monotonic() + _WAIT_SECONDS
        while number(connection, _OPEN):
            if time.monotonic() > drained_by:
                raise Failed("the jobs are not done")
            time.sleep(0.05)
        rows = connection.execute(_BEGUN, [[job for job, _, _ in seen["jobs"]]]).fetchall()
    begun: dict[str, float] = dict(rows)
    return {
        "request": [took * 1000 for _, _, took in seen["jobs"]],
        "wait": [(begun[job] - when) * 1000 for job, when, _ in seen["jobs"]],
    }


def posted(house: House, plan: Plan) -> Any:
    return json.loads(house.run("bench.posts", told=plan.as_json()))


def number(connection: psycopg.Connection[Any], query: str) -> int:
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def add_lines(
    report: Report, rounds: list[dict[str, float]], waits: dict[str, list[float]]
) -> None:
    def figure(name: str) -> Figure:
        return Figure.of([one[name] for one in rounds])

    add = report.lines.append
    add(Line("jobs", "no-op jobs, first request to last end", "/s", figure("a_second"), None, 200.0,
             "requests alone", figure("posts_a_second")))  # fmt: skip
    for name, what in (("web", "web"), ("worker", "both workers"), ("postgres", "PostgreSQL")):
        add(Line("jobs", f"CPU a job: {what}", "ms", figure(name)))
    for part, name in ((0.5, "half"), (0.95, "95 of 100")):
        add(Line("jobs", f"a lone job's wait for a worker, {name}", "ms", at(waits["wait"], part),
                 50.0, None, "its request", at(waits["request"], part)))  # fmt: skip


def at(values: list[float], part: float) -> Figure:
    return Figure.of([statistics.quantiles(values, n=100)[round(part * 100) - 1]])
