"""What is counted of paid calls. ``docs/monitoring.md`` says what each metric means.

Calls are tallied in plain numbers, by names that come from the catalog and never from a client,
and handed to Prometheus once a second (``publish``): a call costs some two microseconds, whatever
the library's counters cost. A process's calls run in one thread, so nothing is locked.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping

from prometheus_client import Counter, Gauge

from common.metrics import REGISTRY, Histogram, Tally
from proxy.call import Call
from proxy.routes import PAID
from usage.calls import Finished
from usage.prices import BUCKETS, Usage

_FIRST = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_WHOLE = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
_BOOKING = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)

_ROUTES = {path: path.removeprefix("/v1/").strip("/").replace("/", "_") for path in PAID} | {
    "/v1/chat/completions": "chat",
    "/v1/messages/count_tokens": "count_tokens",
}
_OF_CALL = ("route", "model", "provider")
_BUCKETS = (*BUCKETS, "reasoning")


def _counter(name: str, help_text: str, *labels: str) -> Counter:
    return Counter(f"farebox_{name}", help_text, labels, registry=REGISTRY)


def _gauge(name: str, help_text: str, *labels: str, mode: str = "livesum") -> Gauge:
    return Gauge(
        f"farebox_{name}", help_text, labels, registry=REGISTRY,
        multiprocess_mode=mode,  # type: ignore[arg-type]
    )  # fmt: skip


def _histogram(
    name: str, help_text: str, bounds: tuple[float, ...], labels: tuple[str, ...]
) -> Histogram:
    return Histogram(f"farebox_{name}", help_text, labels, registry=REGISTRY, buckets=bounds)


CALLS = _counter("calls", "Paid calls that have ended", *_OF_CALL, "status")
TOKENS = _counter("tokens", "Tokens of ended calls, in disjoint buckets", *_OF_CALL[1:], "bucket")
CAPTURED = _counter("captured_microcredits", "What calls took from wallets: revenue", *_OF_CALL[1:])
COST = _counter(
    "cost_microcredits", "What providers ask for these calls, by price list", *_OF_CALL[1:]
)
WRITTEN_OFF = _counter(
    "written_off_microcredits", "What calls cost above what wallets had", *_OF_CALL[1:]
)
ESTIMATED = _counter("estimated_calls", "Ended calls whose usage is an estimate", *_OF_CALL[1:])
FIRST_EVENT = _histogram(
    "first_event_seconds", "From the request to the provider's first event", _FIRST, _OF_CALL
)
SECONDS = _histogram("call_seconds", "From the request to the call's booking", _WHOLE, _OF_CALL)
BOOKING = _histogram("booking_seconds", "begin and finish in the database", _BOOKING, ("step",))
LOST = _counter("unfinished_calls", "Calls that could not be booked and are left to the sweeper")
REFUSED = _counter("refused", "Requests answered by an error", "route", "status", "code")
ANSWERS = _counter("upstream_answers", "Attempts that a provider answered", "provider", "key")
FAULTS = _counter(
    "upstream_errors", "Attempts that failed at the provider", "provider", "key", "kind"
)
OPEN = _gauge("open_calls", "Calls that are open now", "streamed")
BREAKERS = _gauge("breakers", "Web processes in which this breaker is so", "breaker", "state")
CONNECTIONS = _gauge("pool_connections", "The proxy's connections to PostgreSQL", "state")
PROCESSES = _gauge("web_processes", "Web processes that take paid calls")
LAG = _gauge("loop_lag_seconds", "How late the slowest process's loop is", mode="livemax")


class _Tallies:
    """What calls of one route, model and provider came to since they were last published."""

    __slots__ = (
        "captured", "cost", "estimated", "first", "seconds", "statuses", "tokens", "written_off",
    )  # fmt: skip

    def __init__(self) -> None:
        self.statuses: dict[str, int] = defaultdict(int)
        self.tokens = dict.fromkeys(_BUCKETS, 0)
        self.captured = self.cost = self.written_off = self.estimated = 0
        self.first = Tally(_FIRST)
        self.seconds = Tally(_WHOLE)


_calls: dict[tuple[str, str, str], _Tallies] = defaultdict(_Tallies)
_begin, _finish = Tally(_BOOKING), Tally(_BOOKING)
_counts: dict[tuple[Counter, tuple[str, ...]], int] = defaultdict(int)


def ended(
    call: Call, status: str, usage: Usage, cost: int, estimated: bool, done: Finished, began: float
) -> None:
    """A call is booked; its finish had begun at ``began`` (``time.monotonic``)."""
    request = call.request
    model = request.model
    ours = _calls[request.protocol.route, model.name, call.provider or model.provider]
    ours.statuses[status] += 1
    if usage.input or usage.output:
        for bucket, tokens in usage.buckets().items():
            ours.tokens[bucket] += tokens
    ours.captured += done.spent
    ours.cost += cost
    ours.written_off += done.written_off
    ours.estimated += estimated
    now = time.monotonic()
    if call.first_event_at is not None:
        ours.first.observe(call.first_event_at - call.started)
    ours.seconds.observe(now - call.started)
    _begin.observe(call.begun - call.started)
    _finish.observe(now - began)


def left_to_sweeper() -> None:
    """A finish was given up."""
    _counts[LOST, ()] += 1


def refused(path: str, status: int, code: str) -> None:
    """A request is answered by an error, whether it was a call already or not."""
    route = _ROUTES.get(path) or ("models" if path.startswith("/v1/models") else "other")
    _counts[REFUSED, (route, str(status), code)] += 1


def upstream_answered(provider: str, key: str) -> None:
    """An attempt was answered. ``key`` is the label that staff gave the key."""
    _counts[ANSWERS, (provider, key)] += 1


def upstream_failed(provider: str, key: str, kind: str) -> None:
    """An attempt failed, of one of ``proxy.breaker.Fault``."""
    _counts[FAULTS, (provider, key, kind)] += 1


def publish() -> None:
    """Hand over what was tallied."""
    for labels, ours in _calls.items():
        if not ours.statuses:
            continue
        for status, number in ours.statuses.items():
            CALLS.labels(*labels, status).inc(number)
        ours.statuses.clear()
        of_model = labels[1:]
        for bucket, tokens in ours.tokens.items():
            if tokens:
                TOKENS.labels(*of_model, bucket).inc(tokens)
        ours.tokens = dict.fromkeys(_BUCKETS, 0)
        CAPTURED.labels(*of_model).inc(ours.captured)
        COST.labels(*of_model).inc(ours.cost)
        WRITTEN_OFF.labels(*of_model).inc(ours.written_off)
        ESTIMATED.labels(*of_model).inc(ours.estimated)
        ours.captured = ours.cost = ours.written_off = ours.estimated = 0
        FIRST_EVENT.labels(*labels).take(ours.first)
        SECONDS.labels(*labels).take(ours.seconds)
    for step, tally in (("begin", _begin), ("finish", _finish)):
        BOOKING.labels(step).take(tally)
    for (counter, names), number in _counts.items():
        (counter.labels(*names) if names else counter).inc(number)
    _counts.clear()


_ever_broken: set[str] = set()


def show(
    calls: Iterable[Call], breakers: Mapping[str, str], pool: Mapping[str, int], lag: float
) -> None:
    """How this process is now. ``lag``: seconds by which its loop came late."""
    streamed = [call.request.stream for call in calls]
    OPEN.labels("true").set(sum(streamed))
    OPEN.labels("false").set(len(streamed) - sum(streamed))
    _ever_broken.update(name for name, state in breakers.items() if state != "closed")
    for name in _ever_broken:
        for state in ("open", "half_open"):
            BREAKERS.labels(name, state).set(breakers.get(name) == state)
    open_, idle = pool.get("pool_size", 0), pool.get("pool_available", 0)
    CONNECTIONS.labels("idle").set(idle)
    CONNECTIONS.labels("busy").set(open_ - idle)
    CONNECTIONS.labels("waited_for").set(pool.get("requests_waiting", 0))
    PROCESSES.set(1)
    LAG.set(max(lag, 0.0))
