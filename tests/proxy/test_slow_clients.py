"""Failure table: the client reads, or sends, too slowly. Neither ties anything down."""

import time

import psutil
import pytest

from tests.fakes.providers import Behaviour, FakeProviders, Usage
from tests.proxy.by_hand import microcredits
from tests.proxy.dialects import ANTHROPIC, BOTH, OPENAI, Dialect
from tests.proxy.outcomes import assert_paid_for
from tests.proxy.riders import Rider
from tests.proxy.server import Farebox, wait_for
from tests.proxy.wire import Wire, request
from usage.models import Call

pytestmark = pytest.mark.xdist_group("proxy-slow")
MEGABYTE = 2**20


def _connections(farebox: Farebox, client_port: int) -> list[str]:
    """The server's connections to one client."""
    found = psutil.Process(farebox.pid).net_connections("tcp")
    return [c.status for c in found if c.raddr and c.raddr.port == client_port]


@pytest.mark.parametrize("dialect", BOTH, ids=str)
def test_a_stalled_reader_is_cut_and_pays_for_what_passed(
    farebox: Farebox, fake: FakeProviders, rider: Rider, dialect: Dialect
) -> None:
    # Few and large events: the fake makes them up within the time to the first one.
    fake.script(Behaviour(events=600, text="x" * 54_000, usage=Usage(input=500, output=9_000)))
    with Wire(farebox, receive_buffer=4_096) as wire:
        wire.ask(dialect, rider.secret, stream=True, max_tokens=9_000)
        wire.read_until(b"xxxx")
        fake.wait_until(lambda: fake.requests and fake.open == 0, timeout=15)
        served = fake.requests[0]
        assert served.client_closed_early
        assert served.bytes_sent < 16 * MEGABYTE, "half of the answer: nobody took more"
        call = assert_paid_for(rider, Call.Status.CANCELED, estimated=True)
        port = wire.socket.getsockname()[1]
        wait_for(lambda: not _connections(farebox, port), 2, "its connection and buffers are gone")
    assert "slowly" in call.error


def test_a_slow_reader_that_goes_on_reading_gets_it_all(
    farebox: Farebox, fake: FakeProviders, rider: Rider
) -> None:
    """Slower than the provider, but never still: longer in all than a stall may last."""
    fake.script(Behaviour(events=400, text="x" * 2_000, usage=Usage(input=500, output=400)))
    with Wire(farebox, receive_buffer=4_096) as wire:
        wire.ask(OPENAI, rider.secret, stream=True)
        start = time.monotonic()
        while b"[DONE]" not in wire.got[-64:]:
            part = wire.socket.recv(65_536)
            assert part
            wire.got += part
            time.sleep(0.004)  # the slowness itself, not a wait for something
        assert time.monotonic() - start > 0.5
    call = assert_paid_for(rider, Call.Status.COMPLETED, estimated=False)
    assert call.spent == microcredits("gpt-4o-mini", input=500, output=400)


def test_a_plain_answer_that_nobody_reads_is_paid_and_over(
    farebox: Farebox, fake: FakeProviders, rider: Rider
) -> None:
    fake.script(Behaviour(events=3, text="x" * MEGABYTE, usage=Usage(input=500, output=900)))
    with Wire(farebox, receive_buffer=4_096) as wire:
        wire.ask(ANTHROPIC, rider.secret)
        fake.wait_until(lambda: fake.requests and fake.open == 0)
        assert_paid_for(rider, Call.Status.COMPLETED, estimated=False)


def test_a_body_that_stops_coming_is_refused(
    farebox: Farebox, fake: FakeProviders, rider: Rider
) -> None:
    data = request(OPENAI, rider.secret, b" " * 1_000)
    with Wire(farebox) as wire:
        wire.send(data[:-900])
        status, headers, body = wire.read_answer()
        assert status == 400
        assert b"in time" in body
        assert headers["x-request-id"]
        assert headers["connection"] == "close"
        assert wire.is_closed_by_server(2), "the rest of the body is not waited for"
    rider.assert_untouched()
    assert fake.requests == []


def test_a_body_that_drips_for_ever_is_refused(
    farebox: Farebox, fake: FakeProviders, rider: Rider
) -> None:
    """A byte now and then resets the pause, but not the end of all patience (ten pauses)."""
    data = request(ANTHROPIC, rider.secret, b" " * 10_000)
    began = time.monotonic()
    with Wire(farebox) as wire:
        wire.send(data[:-10_000])
        wire.socket.settimeout(0.25)
        while True:
            try:
                wire.send(b" ")
                part = wire.socket.recv(4_096)
            except TimeoutError:
                assert time.monotonic() - began < 50, "its patience has no end"
                continue
            wire.got += part
            break
        assert b"400 Bad Request" in wire.got
    assert time.monotonic() - began > 7.5, "which is long after the first pause"
    rider.assert_untouched()
    assert fake.requests == []


def test_slow_senders_do_not_slow_others(
    farebox: Farebox, fake: FakeProviders, rider: Rider
) -> None:
    data = request(OPENAI, rider.secret, b" " * 1_000)
    wires = [Wire(farebox) for _ in range(50)]
    try:
        for wire in wires:
            wire.send(data[:-1])
        start = time.monotonic()
        assert OPENAI.ask(farebox, rider.secret, stream=True).whole
        assert time.monotonic() - start < 1
        wait_for(lambda: all(wire.is_closed_by_server(5) for wire in wires), 10)
    finally:
        for wire in wires:
            wire.socket.close()
    rider.only_call()
