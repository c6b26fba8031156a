"""What a provider that can't be reached costs the calls that go around it."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from bench.books import Tally
from bench.load import Plan, Target
from bench.programs import Failed
from bench.report import Figure, Line
from bench.stage import EVENTS, Stage

CONNECT_SECONDS = 1
# While a breaker is open for the first time: two seconds, of which the calls here use less.
_PAUSE_MS = 2_000


def fallback(stage: Stage, tally: Tally) -> None:
    """The first call waits for one connect time-out, those after it for nothing."""
    with silence() as port:
        model = stage.house.run("bench.unreachable", f"http://127.0.0.1:{port}/v1").strip()
        more = {"UPSTREAM_CONNECT_SECONDS": str(CONNECT_SECONDS), "DEAD_API_KEY": "sk-dead-0000"}
        with stage.house.web(more=more) as (_, web):
            farebox = Target("farebox", web, stage.farebox.keys)
            plain = Plan((farebox,), stage.body(EVENTS, 0), EVENTS, 1, stage.effort.later)
            around = stage.body(EVENTS, 0, model)
            stage.load(plain, tally)
            first = stage.load(Plan((farebox,), around, EVENTS), tally)["farebox"]["first_ms"]
            later = stage.load(Plan((farebox,), around, EVENTS, 1, stage.effort.later), tally)
            usual = stage.load(plain, tally)
    waited = later["farebox"]
    stage.report.details["fallback"] = {"first_ms": first, "later": waited, "usual": usual}
    if waited["seconds"] * 1000 > _PAUSE_MS:
        raise Failed("the calls beside a dead provider took longer than its breaker is open")
    add = stage.report.lines.append
    timeouts = (first - usual["farebox"]["first_ms"]) / (CONNECT_SECONDS * 1000)
    what = "first call past a provider that can't be reached, in connect time-outs"
    add(Line("fallback", what, "x", Figure.of([timeouts]), 1.1))
    added = waited["first_ms"] - usual["farebox"]["first_ms"]
    what = "added to the first byte of later ones, while it is set aside"
    add(Line("fallback", what, "ms", Figure.of([added]), 1.0))


@contextmanager
def silence() -> Iterator[int]:
    """A port that never answers: its queue is full, so that what comes is neither taken nor
    refused."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        try:
            for one in waiting:
                one.setblocking(False)
                one.connect_ex(server.getsockname())
            yield server.getsockname()[1]
        finally:
            for one in waiting:
                one.close()
