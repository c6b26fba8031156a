"""Every way in which an answer can break, and what the books say of it."""

from __future__ import annotations

import json
import time
from typing import Any

import anthropic
import openai
import pytest

from tests.fakes.providers import Behaviour, FakeProviders, Fault

from .raw import SAY_HI, connected, exchange, read_until, request

PATHS = ["/v1/chat/completions", "/v1/messages"]
END_MARKS = {PATHS[0]: b"data: [DONE]", PATHS[1]: b"event: message_stop"}
OPENINGS = {PATHS[0]: b'"role":"assistant"', PATHS[1]: b"event: content_block_start"}


def said(body: bytes) -> int:
    return body.count(b"word ")


@pytest.fixture(params=PATHS)
def path(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("streamed", [True, False])
def test_cut_before_the_status(fake: FakeProviders, path: str, how: Any, streamed: bool) -> None:
    fake.script(Behaviour(fault=Fault.cut("status", how=how)))
    answer = exchange(fake, request(fake, path=path, stream=streamed))
    assert (answer.received, answer.was_reset) == (b"", how == "reset")
    fake.wait_until(lambda: fake.requests[0].outcome == "cut")
    assert fake.bill().input == fake.bill().output == 0


@pytest.mark.parametrize("how", ["clean", "close", "reset"])
def test_cut_after_the_headers(fake: FakeProviders, path: str, how: Any) -> None:
    fake.script(Behaviour(fault=Fault.cut("headers", how=how)))
    answer = exchange(fake, request(fake, path=path))
    assert answer.status == 200
    assert answer.body == b""
    assert (answer.ended, answer.was_reset) == (how == "clean", how == "reset")
    fake.wait_until(lambda: fake.requests[0].outcome == "cut")
    assert fake.bill().input == 0


@pytest.mark.parametrize("how", ["clean", "close", "reset"])
@pytest.mark.parametrize("after", [0, 3, 5])
def test_cut_between_events(fake: FakeProviders, path: str, how: Any, after: int) -> None:
    fake.script(Behaviour(fault=Fault.cut(after, how=how)))
    answer = exchange(fake, request(fake, path=path))
    assert said(answer.body) == after
    assert OPENINGS[path] in answer.body
    assert answer.body.endswith(b"\n\n")
    assert END_MARKS[path] not in answer.body
    assert (answer.ended, answer.was_reset) == (how == "clean", how == "reset")
    fake.wait_until(lambda: fake.requests[0].outcome == "cut")
    assert fake.requests[0].events_sent == after
    # Anthropic counts its first token with its first event.
    assert fake.bill().output == (max(after, 1) if path == PATHS[1] else after)


@pytest.mark.parametrize("split", [None, 1, "random"])
def test_cut_within_an_event(fake: FakeProviders, path: str, split: Any) -> None:
    fake.script(Behaviour(split=split, fault=Fault.cut(3, mid_event=True)))
    body = exchange(fake, request(fake, path=path)).body
    assert not body.endswith(b"\n")
    assert body.rpartition(b"\n\n")[2].startswith((b"data: {", b"event: content_block_delta"))
    fake.wait_until(lambda: fake.requests[0].events_sent == 3)
    assert fake.bill().output == 3


@pytest.mark.parametrize("how", ["clean", "close"])
def test_all_but_the_end_mark(fake: FakeProviders, path: str, how: Any) -> None:
    fake.script(Behaviour(fault=Fault.cut("end", how=how)))
    answer = exchange(
        fake,
        request(fake, path=path)
        if path == PATHS[1]
        else request(fake, stream_options={"include_usage": True}),
    )
    assert said(answer.body) == 5
    assert END_MARKS[path] not in answer.body
    assert b'output_tokens":5' in answer.body or b'completion_tokens":5' in answer.body
    assert answer.ended is (how == "clean")


def test_the_end_mark_but_no_end(fake: FakeProviders, path: str) -> None:
    fake.once(Behaviour(fault=Fault.cut("done")))
    answer = exchange(fake, request(fake, path=path))
    assert END_MARKS[path] in answer.body
    assert not answer.ended
    fake.once(Behaviour(fault=Fault.stall("done")))
    with connected(fake) as sock:
        sock.sendall(request(fake, path=path))
        read_until(sock, END_MARKS[path])
        assert fake.open == 1
    fake.wait_until(lambda: fake.open == 0)
    assert fake.requests[1].client_closed_early


def test_a_plain_answer_is_cut_within_its_body(fake: FakeProviders, path: str) -> None:
    fake.script(Behaviour(fault=Fault.cut(0, mid_event=True)))
    answer = exchange(fake, request(fake, path=path, stream=False))
    declared = int(answer.head.partition(b"content-length: ")[2].split(b"\r")[0])
    assert len(answer.raw_body) == declared // 2
    assert fake.bill().output == 0


@pytest.mark.parametrize("at", ["status", "headers", 0, 2, "end"])
@pytest.mark.parametrize("streamed", [True, False])
def test_stalls_until_the_client_leaves(
    fake: FakeProviders, path: str, at: Any, streamed: bool
) -> None:
    fake.script(Behaviour(fault=Fault.stall(at)))
    with connected(fake) as sock:
        sock.sendall(request(fake, path=path, stream=streamed))
        if at == "status":
            fake.wait_until(lambda: fake.open == 1)
        else:
            read_until(sock, b"\r\n\r\n")
        if at == 2 and streamed:
            fake.wait_until(lambda: fake.requests[0].events_sent == 2)
    left = time.monotonic()
    fake.wait_until(lambda: fake.requests[0].client_closed_early)
    assert fake.requests[0].ended - left < 1
    assert (fake.open, fake.connections) == (0, 0)


def test_pings_while_it_stalls(fake: FakeProviders, path: str) -> None:
    fake.script(Behaviour(fault=Fault.stall(1, ping=0.001)))
    with connected(fake) as sock:
        sock.sendall(request(fake, path=path))
        received = read_until(sock, b"word ")
        while received.count(b"ping") < 10:
            received += sock.recv(65536)
    fake.wait_until(lambda: fake.open == 0)
    assert fake.requests[0].events_sent == 1


@pytest.mark.parametrize("at", ["headers", 0, 3])
def test_an_error_as_an_event(fake: FakeProviders, path: str, at: Any) -> None:
    fake.script(Behaviour(fault=Fault.error(at, status=429, message="slow down {key}")))
    answer = exchange(fake, request(fake, path=path))
    assert answer.status == 200
    assert answer.ended
    assert END_MARKS[path] not in answer.body
    assert said(answer.body) == (0 if at == "headers" else at)
    last = json.loads(answer.body.rstrip().rpartition(b"data: ")[2])
    key = fake.openai_key if path == PATHS[0] else fake.anthropic_key
    assert last["error"]["message"] == f"slow down {key}"
    fake.wait_until(lambda: fake.requests[0].outcome == "cut")
    if at == "headers":
        assert fake.bill().input == fake.bill().output == 0


@pytest.mark.parametrize("at, streamed", [("headers", False), ("status", True)])
def test_an_error_with_no_stream_to_be_in(
    fake: FakeProviders, path: str, at: Any, streamed: bool
) -> None:
    fake.script(Behaviour(fault=Fault.error(at, status=529)))
    answer = exchange(fake, request(fake, path=path, stream=streamed))
    assert answer.status == 529
    assert b"verloaded" in answer.body


def test_the_sdks_raise_an_error_event(fake: FakeProviders) -> None:
    fake.script(Behaviour(fault=Fault.error(2)))
    with openai.OpenAI(base_url=fake.openai_base_url, api_key=fake.openai_key) as client:
        chunks = client.chat.completions.create(model="m", messages=SAY_HI, stream=True)
        with pytest.raises(openai.APIError):
            list(chunks)
    ask: Any = {"model": "m", "messages": SAY_HI, "max_tokens": 9, "stream": True}
    with anthropic.Anthropic(base_url=fake.anthropic_base_url, api_key=fake.anthropic_key) as other:
        events = other.messages.create(**ask)
        with pytest.raises(anthropic.APIStatusError):
            list(events)


def test_floods_one_line(fake: FakeProviders, path: str) -> None:
    fake.script(Behaviour(fault=Fault.flood(2, bound=300_000)))
    answer = exchange(fake, request(fake, path=path))
    last = answer.body.rpartition(b"\n")[2]
    assert last.count(b"x") >= 300_000
    assert not answer.ended
    assert fake.requests[0].events_sent == 2


def test_floods_at_a_rate_and_notices_who_left(fake: FakeProviders, path: str) -> None:
    fake.script(Behaviour(fault=Fault.flood(bound=10**9, rate=100_000)))
    with connected(fake) as sock:
        sock.sendall(request(fake, path=path))
        began = time.monotonic()
        received = 0
        while received < 30_000:
            received += len(sock.recv(65536))
        assert 0.15 < time.monotonic() - began < 3
    fake.wait_until(lambda: fake.open == 0)
    assert fake.requests[0].bytes_sent < 500_000


def test_a_flood_waits_for_a_slow_reader(fake: FakeProviders) -> None:
    fake.script(Behaviour(fault=Fault.flood(bound=200_000_000)))
    with connected(fake) as sock:
        sock.sendall(request(fake))
        read_until(sock, b"xxx")
        fake.wait_until(lambda: fake.requests[0].bytes_sent > 65536)
    fake.wait_until(lambda: fake.open == 0)
    assert fake.requests[0].bytes_sent < 50_000_000
