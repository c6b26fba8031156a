"""How the fakes are programmed, and what they tell afterwards."""

from __future__ import annotations

import asyncio
import threading
import time

import openai
import pytest

from tests.fakes.providers import Behaviour, FakeProviders, Fault, Usage

from .raw import SAY_HI, connected, exchange, read_until, request


def test_bills_what_was_sent_when_the_client_leaves(fake: FakeProviders) -> None:
    usage = Usage(input=7, cached=100, reasoning=20)
    fake.script(Behaviour(events=1000, delay=0.005, usage=usage, tokens_per_event=2))
    with connected(fake) as sock:
        sock.sendall(request(fake))
        received = b""
        while received.count(b"word ") < 3:
            received += sock.recv(65536)
        assert fake.open == 1
    fake.wait_until(lambda: fake.open == 0)
    (served,) = fake.requests
    assert served.client_closed_early
    assert not served.finished
    assert 3 <= served.events_sent < 100
    assert served.tokens_sent == served.output_tokens == 20 + 2 * served.events_sent
    assert served.input_tokens == 107
    bill = fake.bill()
    assert (bill.input, bill.cached, bill.reasoning, bill.client_left) == (7, 100, 20, 1)
    assert bill.output == served.output_tokens


def test_the_sdk_leaving_is_noticed(fake: FakeProviders) -> None:
    fake.script(Behaviour(events=1000, delay=0.005))
    with openai.OpenAI(base_url=fake.openai_base_url, api_key=fake.openai_key) as client:
        chunks = client.chat.completions.create(model="m", messages=SAY_HI, stream=True)
        next(iter(chunks))
        chunks.close()
    fake.wait_until(lambda: fake.bill().client_left == 1)


def test_nobody_pays_for_waiting(fake: FakeProviders) -> None:
    fake.script(Behaviour(first_delay=30, plain_delay=30))
    for streamed in (True, False):
        with connected(fake) as sock:
            sock.sendall(request(fake, stream=streamed))
            fake.wait_until(lambda: fake.open == 1)
        fake.wait_until(lambda: fake.open == 0)
    assert fake.bill().client_left == 2
    assert fake.bill().input == 0


def test_a_slow_reader_is_waited_for(fake: FakeProviders) -> None:
    fake.script(Behaviour(events=200, text="x" * 100_000))
    with connected(fake) as sock:
        sock.sendall(request(fake))
        received = len(read_until(sock, b"xxx"))
        fake.wait_until(lambda: fake.requests[0].events_sent > 0)
        assert fake.requests[0].events_sent < 200
        while received < 20_000_000:
            received += len(sock.recv(1 << 20))
    fake.wait_until(lambda: fake.requests[0].finished)


def test_keeps_the_pace(fake: FakeProviders) -> None:
    fake.script(Behaviour(events=10, delay=0.01, first_delay=0.05, plain_delay=0.05))
    exchange(fake, request(fake))
    exchange(fake, request(fake, stream=False))
    streamed, plain = fake.requests
    assert 0.045 < streamed.first_byte - streamed.received < 0.5
    assert 0.095 < streamed.ended - streamed.first_byte < 0.5
    assert 0.045 < plain.ended - plain.received < 0.5


def test_once_before_model_before_default(fake: FakeProviders) -> None:
    fake.script(Behaviour(status=500))
    fake.script(Behaviour(status=503), model="a")
    fake.once(Behaviour(status=400), model="b")
    fake.once(Behaviour(status=429), Behaviour(status=404))
    statuses = [exchange(fake, request(fake, model=m)).status for m in "aabbabc"]
    assert statuses == [429, 404, 400, 500, 503, 500, 500]
    fake.reset()
    assert fake.requests == []
    assert exchange(fake, request(fake, model="a")).status == 200
    assert fake.requests[0].number > 7


def test_a_refused_request_uses_up_nothing(fake: FakeProviders) -> None:
    fake.once(Behaviour(status=429))
    assert exchange(fake, request(fake, messages=1)).status == 400
    assert exchange(fake, request(fake)).status == 429


def test_in_band_control(fake: FakeProviders) -> None:
    words = "please events=3 size=8 tokens=5 input=70 cached=30 usage=1 nothing=9"
    for path in ("/v1/chat/completions", "/v1/messages"):
        said = [{"role": "user", "content": [{"type": "text", "text": words}]}]
        body = exchange(fake, request(fake, path=path, messages=[*said, *SAY_HI][:1])).body
        assert body.count(b"word wor") == 3
    assert (fake.bill().input, fake.bill().cached, fake.bill().output) == (140, 60, 30)
    fake.script(Behaviour(events=2), model="m")
    assert exchange(fake, request(fake, messages=said)).body.count(b"word ") == 2


@pytest.mark.parametrize(
    "words, changed",
    [
        ("hello", Behaviour()),
        ("events=many delay_ms=", Behaviour()),
        (
            "delay_ms=5 first_ms=20 plain_ms=30",
            Behaviour(first_delay=0.02, delay=0.005, plain_delay=0.03),
        ),
        ("output=9 thinking=2", Behaviour(usage=Usage(output=9), thinking=2)),
        ("per_write=0 usage=0", Behaviour(events_per_write=0, report_usage=False)),
    ],
)
def test_words_of_control(words: str, changed: Behaviour) -> None:
    assert Behaviour().told(words) == changed


def test_notes_what_was_asked(fake: FakeProviders) -> None:
    exchange(fake, request(fake, model="gpt-4o", temperature=0.5))
    (served,) = fake.requests
    assert (served.protocol, served.model, served.stream) == ("openai", "gpt-4o", True)
    assert (served.method, served.path) == ("POST", "/v1/chat/completions")
    assert served.headers["authorization"] == f"Bearer {fake.openai_key}"
    assert served.json["temperature"] == 0.5
    assert b"\r\nhost: fake\r\n" in served.raw_head
    assert served.received <= served.first_byte <= served.ended
    assert served.bytes_sent > 0


def test_reset_breaks_off_what_is_open(fake: FakeProviders) -> None:
    fake.script(Behaviour(fault=Fault.stall("headers")))
    with connected(fake) as idle, connected(fake) as stalled:
        idle.sendall(b"")
        stalled.sendall(request(fake))
        fake.wait_until(lambda: (fake.open, fake.connections) == (1, 2))
        fake.reset()
        fake.wait_until(lambda: fake.connections == 1)
        assert (fake.open, fake.requests) == (0, [])


def test_waiting_ends_with_a_time_out(fake: FakeProviders) -> None:
    with pytest.raises(TimeoutError, match="requests=0"):
        fake.wait_until(lambda: fake.open, timeout=0.01)


async def test_a_coroutine_can_wait(fake: FakeProviders) -> None:
    waiting = asyncio.create_task(fake.until(lambda: fake.bill().finished == 1))
    await asyncio.to_thread(exchange, fake, request(fake))
    await waiting


def test_leaves_nothing_running() -> None:
    before = threading.active_count()
    with FakeProviders() as fake:
        fake.script(Behaviour(fault=Fault.stall(1)))
        with connected(fake) as sock:
            sock.sendall(request(fake))
            read_until(sock, b"word ")
            began = time.monotonic()
            fake.stop()
    assert time.monotonic() - began < 5
    assert threading.active_count() == before
