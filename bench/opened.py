"""Many streams open at once: are all whole, in what time, and what does each of them take?"""

import time
from typing import Any

from bench.books import Tally
from bench.load import Plan, Target
from bench.programs import Failed, Memory, Program
from bench.report import Figure, Line
from bench.stage import OPEN_EVENTS, Stage

KIBIBYTE = 1024


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
    if "nginx" in spent:
        ratio = one(spent["farebox"] / spent["nginx"])
        add(Line("open", "the same, times nginx's", "x", ratio, 3.0))
