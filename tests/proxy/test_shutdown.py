"""How a process ends: what it answers meanwhile, to whom it says what, and what ends it sooner."""

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

import usage.sweep
from tests.fakes.providers import Behaviour, FakeProviders, Fault
from tests.proxy.books import KINDS, SAID, WORDS, Kind, add_fleet, wait_until_listed
from tests.proxy.cluster import Cluster
from tests.proxy.dialects import ANTHROPIC, BOTH, OPENAI, Dialect
from tests.proxy.fleet import IN, OUT, put_back
from tests.proxy.riders import Rider
from tests.proxy.server import Farebox, wait_for
from tests.proxy.wire import Wire, read_head, request
from usage.models import Call

SLOW = Behaviour(events=8, delay=0.5)


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
    """First it tells load balancers and clients to go elsewhere, then it takes nothing new."""
    farebox = own_farebox(SHUTDOWN_DELAY_SECONDS="2", SHUTDOWN_SECONDS="10")
    fake.script(SLOW)
    wires = [opened.enter_context(Wire(farebox)) for _ in BOTH]
    for wire, dialect in zip(wires, BOTH, strict=True):
        wire.ask(dialect, rider.secret, stream=True)
        head, _, _ = wire.read_until(b"word ").partition(b"\r\n\r\n")
        assert "connection" not in read_head(head)[1]
    idle = opened.enter_context(Wire(farebox))
    idle.send(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
    assert b"connection:" not in idle.read_until(b"0\r\n\r\n")
    assert "process" not in httpx.get(f"{farebox.url}/readyz").json()["checks"]

    os.kill(farebox.pid, signal.SIGTERM)
    ready = lambda: httpx.get(f"{farebox.url}/readyz")  # noqa: E731
    wait_for(lambda: ready().status_code == 503, 1.5, "it is not ready")
    assert ready().json()["checks"] == {"process": "is shutting down"}
    assert ready().headers["retry-after"] == "5"
    assert httpx.get(f"{farebox.url}/healthz").status_code == 200
    fake.once(Behaviour())
    late = OPENAI.ask(farebox, rider.secret, stream=True)
    assert late.whole, "a call that a load balancer still sends is served"
    assert late.headers["connection"] == "close"

    wait_for(lambda: is_closed(farebox), 5, "it listens no more")
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
    assert [call.status for call in rider.calls()] == [Call.Status.COMPLETED] * 3
    assert rider.open_holds() == 0


def test_what_was_on_its_way_is_answered(
    own_farebox: Callable[..., Farebox], fake: FakeProviders, rider: Rider, opened: ExitStack
) -> None:
    """Connections that were taken before their first request came: uvicorn by itself would close
    them, and their clients would see a reset."""
    farebox = own_farebox(SHUTDOWN_SECONDS="5")
    fake.script(Behaviour(delay=0.05))
    wires = [opened.enter_context(Wire(farebox)) for _ in range(8)]
    assert httpx.get(f"{farebox.url}/healthz").status_code == 200  # all of them are taken by now
    os.kill(farebox.pid, signal.SIGTERM)
    for number, wire in enumerate(wires):
        if number == len(wires) // 2:
            wait_for(lambda: is_closed(farebox), 5, "it listens no more")
        wire.ask(BOTH[number % 2], rider.secret, stream=True)
    for wire in wires:
        got = wire.read_all()
        assert b"HTTP/1.1 200" in got
        assert b"connection: close" in got
        assert got.endswith(b"0\r\n\r\n")
    assert farebox.end(None) == 0
    assert len(rider.calls()) == len(wires)
    assert rider.open_holds() == 0


def test_who_reads_nothing_does_not_hold_it_up(
    own_farebox: Callable[..., Farebox], fake: FakeProviders, rider: Rider
) -> None:
    farebox = own_farebox(SHUTDOWN_SECONDS="1", CLIENT_STALL_SECONDS="60")
    fake.script(Behaviour(events=3_000, text="word " * 200))
    with Wire(farebox, receive_buffer=4096) as wire:
        wire.ask(OPENAI, rider.secret, stream=True)
        wire.read_until(b"word ")
        assert farebox.end(signal.SIGTERM) == 0
    call = rider.only_call()
    assert (call.status, call.estimated) == (Call.Status.INTERRUPTED, True)
    assert call.spent > 0


def test_answers_without_a_client_are_read_to_their_end_or_to_the_bound(
    own_farebox: Callable[..., Farebox], fake: FakeProviders, rider: Rider
) -> None:
    farebox = own_farebox(SHUTDOWN_SECONDS="4", UPSTREAM_IDLE_SECONDS="60")
    drained = next(kind for kind in KINDS if kind == Kind(OPENAI, "drain"))
    with put_back():
        add_fleet(fake, ["ends", "stalls"])
        models = {name: drained.asking(name) for name in ("ends", "stalls")}
        fake.script(replace(SAID, delay=0.2), model=models["ends"].model)
        fake.script(replace(SAID, fault=Fault.stall(3)), model=models["stalls"].model)
        wait_until_listed(farebox, rider, models)
        for dialect in models.values():
            with Wire(farebox) as wire:
                wire.ask(dialect, rider.secret, stream=True)
                wire.read_until(b"word")
        assert farebox.end(signal.SIGTERM) == 0
        assert rider.open_holds() == 0
        told = {call.model: call for call in rider.calls()}
        ends, stalls = (told[dialect.model] for dialect in models.values())
        assert (ends.status, ends.estimated) == (Call.Status.CANCELED, False)
        assert ends.spent == IN * 100 + OUT * WORDS
        assert (stalls.status, stalls.estimated) == (Call.Status.CANCELED, True)
        assert stalls.output_tokens == 3


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


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    # Not below pytest's folder, which it closes to other users, the server's among them.
    with TemporaryDirectory(prefix="farebox-cluster-") as home:
        cluster = Cluster(Path(home))
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.close()


def test_without_its_database_it_leaves_calls_to_the_sweep(
    cluster: Cluster,
    own_farebox: Callable[..., Farebox],
    fake: FakeProviders,
    rider: Rider,
    database_url: str,
) -> None:
    cluster.copy(database_url)
    farebox = own_farebox(
        DATABASE_URL=cluster.url, SHUTDOWN_SECONDS="1", UPSTREAM_IDLE_SECONDS="60"
    )
    kept = "SELECT count(*) FROM ledger_hold WHERE state = 'open' AND checkpoint IS NOT NULL"
    fake.script(Behaviour(events=10, fault=Fault.stall(4)))
    with Wire(farebox) as wire:
        wire.ask(OPENAI, rider.secret, stream=True)
        wire.read_until(b"word ")
        wait_for(lambda: cluster.query(kept) == [(1,)], 10, "what is owed is written down")
        cluster.stop()
        began = time.monotonic()
        assert farebox.end(signal.SIGTERM) == 0
        assert time.monotonic() - began < 1 + 15
        assert b"starting anew" in wire.read_all()
    assert "left to the sweep" in farebox.log_text()
    cluster.start()
    assert cluster.query(kept) == [(1,)]
