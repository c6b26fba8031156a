"""How a process ends: what it answers meanwhile, to whom it says what, and what ends it sooner."""

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import httpx
import pytest

import usage.sweep
from ledger.reconcile import reconcile
from tests.fakes.providers import Behaviour, FakeProviders, Fault, Usage
from tests.proxy.books import KINDS, SAID, WORDS, Kind, add_fleet
from tests.proxy.by_hand import microcredits
from tests.proxy.dialects import ANTHROPIC, BOTH, OPENAI, Dialect
from tests.proxy.fleet import IN, OUT, put_back
from tests.proxy.riders import Rider
from tests.proxy.server import Farebox, wait_for
from tests.proxy.wire import Wire, read_head, request
from usage.models import Call

SLOW = Behaviour(events=8, delay=0.5)
# What is open at the end, and the models that it is asked of.
SHORT_LONG_SILENT_UNREAD = {
    "short": Behaviour(events=10, delay=0.1, usage=Usage(input=400)),
    "long": Behaviour(events=600, delay=0.1, usage=Usage(input=400)),
    "silent": Behaviour(plain_delay=50),
    "unread": Behaviour(events=3_000, text="word " * 200),
}
ASKED = {
    "short": OPENAI, "long": ANTHROPIC, "silent": replace(OPENAI, model="gpt-4o"),
    "unread": replace(OPENAI, model="gpt-4.1-mini"),
}  # fmt: skip


def is_closed(farebox: Farebox) -> bool:
    """Whether nothing listens any more."""
    try:
        socket.create_connection(("127.0.0.1", farebox.port), 5).close()
    except ConnectionRefusedError:
        return True
    return False


def body_of(dialect: Dialect, **more: object) -> bytes:
    return json.dumps(dialect.body(**more)).encode()


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    """Keeps what is opened until the test is over."""
    with ExitStack() as opened:
        yield opened


def test_while_it_ends(
    own_farebox: Callable[..., Farebox], fake: FakeProviders, rider: Rider, opened: ExitStack
) -> None:
    """First it tells load balancers and clients to go elsewhere, then it takes nothing new; but
    what is on a connection that it has taken is answered."""
    farebox = own_farebox(SHUTDOWN_DELAY_SECONDS="2", SHUTDOWN_SECONDS="10")
    web = opened.enter_context(httpx.Client(base_url=farebox.url, trust_env=False))
    fake.script(SLOW)
    wires = [opened.enter_context(Wire(farebox)) for _ in BOTH]
    for wire, dialect in zip(wires, BOTH, strict=True):
        wire.ask(dialect, rider.secret, stream=True)
        head, _, _ = wire.read_until(b"word ").partition(b"\r\n\r\n")
        assert "connection" not in read_head(head)[1]
    fake.script(Behaviour(delay=0.05))
    # Taken before their first request comes: uvicorn by itself would close them, and their clients
    # would see a reset.
    early = [opened.enter_context(Wire(farebox)) for _ in range(8)]
    idle = opened.enter_context(Wire(farebox))
    idle.send(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
    assert b"connection:" not in idle.read_until(b"0\r\n\r\n")
    assert "process" not in web.get("/readyz").json()["checks"]

    os.kill(farebox.pid, signal.SIGTERM)
    wait_for(lambda: web.get("/readyz").status_code == 503, 1.5, "it is not ready")
    ready = web.get("/readyz")
    assert ready.json()["checks"] == {"process": "is shutting down"}
    assert ready.headers["retry-after"] == "5"
    assert web.get("/healthz").status_code == 200
    late = OPENAI.ask(farebox, rider.secret, stream=True)
    assert late.whole, "a call that a load balancer still sends is served"
    assert late.headers["connection"] == "close"
    _ask_all(early[:4], rider)

    wait_for(lambda: is_closed(farebox), 5, "it listens no more")
    _ask_all(early[4:], rider)
    _assert_answered(early)
    assert idle.is_closed_by_server(3)
    for wire, dialect in zip(wires, BOTH, strict=True):
        wire.read_until(b"0\r\n\r\n")  # the stream ends in peace
        wire.got = b""
        wire.send(request(dialect, rider.secret, body_of(dialect)))
        status, headers, body = wire.read_answer()
        assert (status, headers["retry-after"]) == (503, "1")
        assert headers["connection"] == "close"
        assert "starting anew" in json.loads(body)["error"]["message"]
        assert wire.is_closed_by_server(3)
    assert farebox.end(None) == 0
    calls = len(wires) + 1 + len(early)
    assert [call.status for call in rider.calls()] == [Call.Status.COMPLETED] * calls
    assert rider.open_holds() == 0


def _ask_all(wires: list[Wire], rider: Rider) -> None:
    for number, wire in enumerate(wires):
        wire.ask(BOTH[number % 2], rider.secret, stream=True)


def _assert_answered(wires: list[Wire]) -> None:
    for wire in wires:
        got = wire.read_all()
        assert b"HTTP/1.1 200" in got
        assert b"connection: close" in got
        assert got.endswith(b"0\r\n\r\n")


def test_the_bound(
    own_farebox: Callable[..., Farebox], fake: FakeProviders, rider: Rider, opened: ExitStack
) -> None:
    """Answers go on for so long, whether anybody reads them or not; what is left is cut."""
    drain = next(kind for kind in KINDS if kind == Kind(OPENAI, "drain"))
    drained = {name: drain.asking(name) for name in ("ends", "stalls")}
    opened.enter_context(put_back())
    add_fleet(fake, drained)
    fake.script(replace(SAID, delay=0.1), model=drained["ends"].model)
    fake.script(replace(SAID, fault=Fault.stall(3)), model=drained["stalls"].model)
    for name, behaviour in SHORT_LONG_SILENT_UNREAD.items():
        fake.script(behaviour, model=ASKED[name].model)
    farebox = own_farebox(
        SHUTDOWN_SECONDS="3", UPSTREAM_IDLE_SECONDS="60", UPSTREAM_TOTAL_SECONDS="60",
        UPSTREAM_PLAIN_SECONDS="60", UPSTREAM_FIRST_EVENT_SECONDS="60", CLIENT_STALL_SECONDS="60",
    )  # fmt: skip

    unread = opened.enter_context(Wire(farebox, receive_buffer=4096))
    unread.ask(ASKED["unread"], rider.secret, stream=True)
    unread.read_until(b"word ")
    silent, long, short = (opened.enter_context(Wire(farebox)) for _ in range(3))
    silent.ask(ASKED["silent"], rider.secret)
    long.ask(ASKED["long"], rider.secret, stream=True)
    long.read_until(b"word ")
    for dialect in drained.values():
        with Wire(farebox) as wire:
            wire.ask(dialect, rider.secret, stream=True)
            wire.read_until(b"word")
    short.ask(ASKED["short"], rider.secret, stream=True)
    short.read_until(b"word ")
    fake.wait_until(lambda: len(fake.requests) == 6)
    assert farebox.end(signal.SIGTERM) == 0

    assert rider.open_holds() == 0, "every call was booked before the process ended"
    told = {call.model: call for call in rider.calls()}
    assert told[ASKED["short"].model].status == Call.Status.COMPLETED
    assert short.read_all().endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert b"starting anew" in long.read_all()
    cut = told[ASKED["long"].model]
    assert cut.status == Call.Status.INTERRUPTED
    assert cut.spent == microcredits(cut.model, input=400, output=cut.output_tokens)
    status, headers, _ = silent.read_answer()
    assert (status, headers["x-should-retry"]) == (503, "false")
    assert told[ASKED["silent"].model].status == Call.Status.FAILED
    full = told[ASKED["unread"].model]
    assert (full.status, full.estimated) == (Call.Status.INTERRUPTED, True)
    assert full.spent > 0
    ends, stalls = (told[dialect.model] for dialect in drained.values())
    assert (ends.status, ends.estimated) == (Call.Status.CANCELED, False)
    assert ends.spent == IN * 100 + OUT * WORDS
    assert (stalls.status, stalls.estimated) == (Call.Status.CANCELED, True)
    assert stalls.output_tokens == 3
    assert reconcile().violations == []


def test_a_second_signal_ends_it_at_once(
    own_farebox: Callable[..., Farebox], fake: FakeProviders, rider: Rider
) -> None:
    """Then the sweep pays, as for any process that was killed."""
    farebox = own_farebox(SHUTDOWN_SECONDS="60", UPSTREAM_IDLE_SECONDS="60")
    fake.script(Behaviour(events=10, fault=Fault.stall(4)))
    with Wire(farebox) as wire:
        wire.ask(ANTHROPIC, rider.secret, stream=True)
        wire.read_until(b"word ")
        os.kill(farebox.pid, signal.SIGINT)
        os.kill(farebox.pid, signal.SIGTERM)  # of a parent, and of who tells parent and child
        wait_for(lambda: is_closed(farebox), 5, "it listens no more")
        assert farebox.is_running

        def ends() -> bool:
            os.kill(farebox.pid, signal.SIGTERM)
            return not farebox.is_running

        wait_for(ends, 5, "the second signal ends it")
    assert farebox.end(None) == -signal.SIGTERM
    assert rider.open_holds() == 1
    wait_for(lambda: usage.sweep.sweep() == 1, 15, "its lease ran out")
    assert rider.only_call().status == Call.Status.SWEPT
