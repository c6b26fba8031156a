"""The parts over HTTP: what a metered stream costs, how late it begins, how many are open at once.

Every figure stands beside nginx's, or beside the upstream's own, from the same minutes.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.books import Tally, balanced
from bench.house import UPSTREAM_KEY, House
from bench.load import Plan, Target
from bench.programs import Failed, Memory, Program
from bench.report import Figure, Line, Report, flush_ms

CALLERS = 50
EVENTS = 20
PACED = "one every 10 ms"
OPEN_EVENTS = 100
KIBIBYTE = 1024


@dataclass(frozen=True)
class Effort:
    """How long each part goes on; ``repeats`` odd, so that a median is one of them."""

    repeats: int
    rounds: int
    paced_rounds: int
    first_byte_rounds: int
    open_streams: int
    open_delay_ms: int


FULL = Effort(
    repeats=5,
    rounds=24,
    paced_rounds=12,
    first_byte_rounds=200,
    open_streams=1000,
    open_delay_ms=100,
)
QUICK = Effort(
    repeats=1, rounds=8, paced_rounds=3, first_byte_rounds=60, open_streams=100, open_delay_ms=10
)


@dataclass(frozen=True)
class Stage:
    """The programs under load and where they answer. nginx is None where it is not installed."""

    house: House
    report: Report
    effort: Effort
    web: Program
    farebox: Target
    nginx: tuple[Program, Target] | None
    upstream: Target

    def body(self, events: int, delay_ms: int) -> str:
        """The request of every caller; the fake upstream reads its orders in the message."""
        asked = {
            "model": self.house.model,
            "messages": [{"role": "user", "content": f"events={events} delay_ms={delay_ms}"}],
            "max_completion_tokens": 1000,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        return json.dumps(asked, separators=(",", ":"))

    def load(self, plan: Plan, tally: Tally, meanwhile: Callable[[], None] = lambda: None) -> Any:
        """Run the load generator; what it saw of each target, by name."""
        seen = json.loads(self.house.run("bench.load", told=plan.as_json(), meanwhile=meanwhile))
        if "farebox" in seen:
            tally.add(seen["farebox"]["calls"])
        return seen

    def anchors(self) -> list[tuple[Program, Target]]:
        return [self.nginx] if self.nginx else []


def measure(house: House, report: Report, effort: Effort, parts: set[str]) -> None:
    """Run the chosen parts on one web process and one nginx."""
    chosen = {"cpu": cpu, "first-byte": first_byte, "open": open_streams}
    with house.web() as (web, port), house.nginx() as anchor:
        stage = Stage(
            house,
            report,
            effort,
            web,
            Target("farebox", port, tuple(account.key for account in house.accounts)),
            (anchor[0], Target("nginx", anchor[1], (UPSTREAM_KEY,))) if anchor else None,
            Target("upstream", house.upstream_port, (UPSTREAM_KEY,)),
        )
        warm_up(stage)
        for name, part in chosen.items():
            if name in parts:
                house.say(f"measuring {name}")
                report.look_at_the_clock()
                with balanced(house.database) as tally:
                    part(stage, tally)


def warm_up(stage: Stage) -> None:
    """Enough calls that pools are full and statements prepared before anything is measured."""
    with balanced(stage.house.database) as tally:
        for target in (stage.farebox, *(target for _, target in stage.anchors())):
            plan = Plan((target,), stage.body(EVENTS, 0), EVENTS, CALLERS, 10)
            stage.load(plan, tally)


def cpu(stage: Stage, tally: Tally) -> None:
    """CPU a call, for events that come as fast as they can, and for one every ten milliseconds."""
    effort = stage.effort
    paces = ((0, "back to back", effort.rounds), (10, PACED, effort.paced_rounds))
    for delay_ms, pace, rounds in paces:
        costs: dict[str, list[float]] = {"farebox": [], "nginx": []}
        seen = []
        for _ in range(effort.repeats):
            stage.report.look_at_the_clock()
            for program, target in [(stage.web, stage.farebox), *stage.anchors()]:
                # A call costs nginx a tenth: more of them, for the clock ticks by 10 ms.
                often = rounds * 5 if target.name == "nginx" and not delay_ms else rounds
                plan = Plan((target,), stage.body(EVENTS, delay_ms), EVENTS, CALLERS, often)
                before = program.cpu_seconds()
                found = stage.load(plan, tally)
                spent = (program.cpu_seconds() - before) * 1000
                costs[target.name].append(spent / found[target.name]["calls"])
                seen.append(found)
        stage.report.details[f"cpu, {pace}"] = seen
        _cpu_lines(stage, pace, costs, strict=not delay_ms)


def _cpu_lines(stage: Stage, pace: str, costs: dict[str, list[float]], *, strict: bool) -> None:
    """The cost, held to 1 ms where events come back to back, and to ten times nginx's always."""
    what = f"CPU a call, {EVENTS} events {pace}"
    farebox = Figure.of(costs["farebox"])
    anchor = Figure.of(costs["nginx"]) if costs["nginx"] else None
    at_most = 1.0 if strict else None
    stage.report.lines.append(Line("cpu", what, "ms", farebox, at_most, None, "nginx", anchor))
    if anchor:
        pairs = zip(costs["farebox"], costs["nginx"], strict=True)
        ratio = Figure.of([ours / theirs for ours, theirs in pairs])
        stage.report.lines.append(Line("cpu", "the same, times nginx's", "x", ratio, 10.0))


def first_byte(stage: Stage, tally: Tally) -> None:
    """What one caller waits longer for the first byte than straight from the upstream.

    Measured back to back, and once more with pauses in the streams: then the machine's cores and
    disk fall asleep between two steps of a call, and waking them is a good part of the wait.
    """
    rounds = stage.effort.first_byte_rounds
    for delay_ms, pace, often in ((0, "back to back", rounds), (10, PACED, rounds // 10)):
        _first_byte(stage, tally, delay_ms, pace, often)
    # A hold is on disk before the provider is asked, so this much of the wait is the disk's.
    flush = Figure.of([flush_ms(stage.house.folder) for _ in range(stage.effort.repeats)])
    stage.report.lines.append(Line("first-byte", "one flush of this disk, for scale", "ms", flush))


def _first_byte(stage: Stage, tally: Tally, delay_ms: int, pace: str, rounds: int) -> None:
    added: dict[str, list[float]] = {"farebox": [], "nginx": []}
    targets = (stage.upstream, stage.farebox, *(target for _, target in stage.anchors()))
    plan = Plan(targets, stage.body(EVENTS, delay_ms), EVENTS, 1, rounds, interleave=True)
    seen = []
    for _ in range(stage.effort.repeats):
        stage.report.look_at_the_clock()
        found = stage.load(plan, tally)
        seen.append(found)
        for name, values in added.items():
            if name in found:
                values.append(found[name]["first_ms"] - found["upstream"]["first_ms"])
    stage.report.details[f"first-byte, {pace}"] = seen
    anchor = Figure.of(added["nginx"]) if added["nginx"] else None
    what = f"added to the first byte, {EVENTS} events {pace}"
    at_most = None if delay_ms else 1.5
    stage.report.lines.append(
        Line("first-byte", what, "ms", Figure.of(added["farebox"]), at_most, None, "nginx", anchor)
    )


def open_streams(stage: Stage, tally: Tally) -> None:
    """Many streams open at once: their time beside the upstream's own, and memory for each."""
    count, delay = stage.effort.open_streams, stage.effort.open_delay_ms
    body = stage.body(OPEN_EVENTS, delay)
    grown: dict[str, Memory] = {}
    spent: dict[str, float] = {}
    seen = {}
    runs: list[tuple[Program | None, Target]] = [(None, stage.upstream), (stage.web, stage.farebox)]
    for program, target in [*runs, *stage.anchors()]:
        plan = Plan((target,), body, OPEN_EVENTS, count)
        peak = Peak(program)
        cpu_before = program.cpu_seconds() if program else 0.0
        found = stage.load(plan, tally, peak.look)[target.name]
        if found["most_open"] != count:
            raise Failed(f"only {found['most_open']} of {count} streams were open at once")
        seen[target.name] = found
        if program:
            grown[target.name] = peak.grown()
            spent[target.name] = (program.cpu_seconds() - cpu_before) * 1000 / count
    stage.report.details["open"] = {"seen": seen, "delay_ms": delay, "cpu_ms": spent}
    _open_lines(stage, seen, grown, spent)


class Peak:
    """The most memory a program has while others work, beyond what it has now."""

    def __init__(self, program: Program | None) -> None:
        self._program = program
        self._next = 0.0
        self._idle = self._most = program.memory() if program else Memory(0, 0)

    def look(self) -> None:
        """Look twice a second: each look costs the kernel some time."""
        if self._program and time.monotonic() >= self._next:
            now = self._program.memory()
            self._most = Memory(max(self._most.rss, now.rss), max(self._most.pss, now.pss))
            self._next = time.monotonic() + 0.5

    def grown(self) -> Memory:
        return self._most - self._idle


def _open_lines(
    stage: Stage, seen: dict[str, Any], grown: dict[str, Memory], spent: dict[str, float]
) -> None:
    count = stage.effort.open_streams

    def one(value: float) -> Figure:
        return Figure.of([value])

    def beside(values: dict[str, float]) -> Figure | None:
        return one(values["nginx"]) if "nginx" in values else None

    upstream = seen["upstream"]["total_ms"]
    times = {name: found["total_ms"] / upstream for name, found in seen.items()}
    sizes = {name: memory.rss / count / KIBIBYTE for name, memory in grown.items()}
    add, name = stage.report.lines.append, f"{count} streams of {OPEN_EVENTS} events"
    add(Line("open", f"{name}, all whole: time", "ms", one(seen["farebox"]["total_ms"]),
             anchor_name="upstream", anchor=one(upstream)))  # fmt: skip
    add(Line("open", "the same, times the upstream's", "x", one(times["farebox"]), 1.25, None,
             "nginx", beside(times)))  # fmt: skip
    add(Line("open", "memory a stream beyond idle", "KiB", one(sizes["farebox"]), 60.0, None,
             "nginx", beside(sizes)))  # fmt: skip
    add(Line("open", "CPU a stream", "ms", one(spent["farebox"]), None, None, "nginx",
             beside(spent)))  # fmt: skip
