"""What every part over HTTP needs: the programs under load, and how much of it there is."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.books import Tally
from bench.house import House
from bench.load import Plan, Target
from bench.programs import Program
from bench.report import Report

CALLERS = 50
EVENTS = 20
PACED = "one every 10 ms"
OPEN_EVENTS = 100


@dataclass(frozen=True)
class Effort:
    """How long each part goes on; ``repeats`` odd, so that a median is one of them."""

    repeats: int
    rounds: int
    paced_rounds: int
    first_byte_rounds: int
    open_streams: int
    open_delay_ms: int
    two_rounds: int
    later: int
    peer_rounds: int
    peer_streams: int


FULL = Effort(
    repeats=5,
    rounds=24,
    paced_rounds=12,
    first_byte_rounds=200,
    open_streams=2000,
    open_delay_ms=200,
    two_rounds=60,
    later=100,
    peer_rounds=4,
    peer_streams=100,
)
QUICK = Effort(
    repeats=1,
    rounds=8,
    paced_rounds=3,
    first_byte_rounds=60,
    open_streams=100,
    open_delay_ms=10,
    two_rounds=8,
    later=20,
    peer_rounds=1,
    peer_streams=20,
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

    def body(self, events: int, delay_ms: int, model: str = "") -> str:
        """The request of every caller; the fake upstream reads its orders in the message."""
        asked = {
            "model": model or self.house.model,
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

    def cost(self, program: Program, plan: Plan, tally: Tally) -> tuple[float, Any]:
        """CPU of a program for each call of a plan, milliseconds; and what the load saw."""
        before = program.cpu_seconds()
        (target,) = plan.targets
        found = self.load(plan, tally)[target.name]
        return (program.cpu_seconds() - before) * 1000 / found["calls"], found

    def anchors(self) -> list[tuple[Program, Target]]:
        return [self.nginx] if self.nginx else []
