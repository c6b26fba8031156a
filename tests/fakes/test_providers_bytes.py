"""The bytes of an answer that is whole, however it is cut up, packed and labelled."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import Any

import openai
import pytest

from tests.fakes.providers import Behaviour, FakeProviders
from tests.fakes.providers.slicer import Slicer

from .raw import SAY_HI, connected, exchange, post, read_until, request

PATHS = ["/v1/chat/completions", "/v1/messages"]
UMLAUTS = Behaviour(events=6, text="Füße€😀")


def events(body: bytes) -> list[bytes]:
    """Blocks between empty lines, without what differs from one answer to the next."""
    lines = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n\n")
    return [b"" if b"chatcmpl" in one or b"msg_" in one else one for one in lines]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "change",
    [
        {"split": 1},
        {"split": (7, 1, 200)},
        {"split": "random", "seed": 3},
        {"split": "utf8"},
        {"split": "newline"},
        {"line_end": "\r\n"},
        {"line_end": "\r\n", "split": "newline"},
        {"line_end": "\r"},
        {"events_per_write": 4},
        {"events_per_write": 0},
        {"delay": 0.001},
        {"split": 50, "split_pause": 0.001},
    ],
)
def test_the_same_events_in_other_bytes(
    fake: FakeProviders, path: str, change: dict[str, Any]
) -> None:
    fake.once(UMLAUTS, replace(UMLAUTS, **change))
    plain, other = (
        exchange(fake, request(fake, path=path)),
        exchange(fake, request(fake, path=path)),
    )
    assert events(plain.body) == events(other.body)
    assert plain.ended
    assert other.ended
    assert fake.requests[1].events_sent == 6
    assert fake.requests[1].finished


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("change", [{}, {"split": 3}, {"split": "random"}])
@pytest.mark.parametrize("streamed", [True, False])
def test_compresses(fake: FakeProviders, path: str, change: dict[str, Any], streamed: bool) -> None:
    fake.script(replace(UMLAUTS, gzip=True, **change))
    answer = exchange(fake, request(fake, path=path, stream=streamed))
    assert b"content-encoding: gzip" in answer.head
    unpack = zlib.decompressobj(wbits=31)
    assert "Füße€😀".encode() in unpack.decompress(answer.body)
    assert unpack.eof


def test_each_compressed_write_can_be_read_at_once(fake: FakeProviders) -> None:
    fake.script(Behaviour(events=3, gzip=True))
    unpack = zlib.decompressobj(wbits=31)
    read = [unpack.decompress(one) for one in exchange(fake, request(fake)).chunks]
    assert sum(one.count(b'"content":"word "') == 1 for one in read) == 3


def test_writes_are_chunks(fake: FakeProviders) -> None:
    def sizes(**change: Any) -> list[int]:
        fake.script(Behaviour(events=8, **change))
        chunks = exchange(fake, request(fake)).chunks[1:-2]
        return [one.count(b'"content":"word "') for one in chunks]

    assert sizes() == [1] * 8
    assert sizes(events_per_write=3) == [3, 3, 2]
    assert sizes(events_per_write=0) == [8]
    assert sizes(events_per_write=3, split_pause=0.001, split=10_000) == []


def test_slices_where_it_was_told() -> None:
    assert Slicer(1).feed(b"abc") == [b"a", b"b", b"c"]
    sized = Slicer((2, 3))
    assert sized.feed(b"abcdefghi") + sized.flush() == [b"ab", b"cde", b"fg", b"hi"]
    assert Slicer("utf8").feed("ü€".encode()) == [b"\xc3", b"\xbc\xe2", b"\x82", b"\xac"]
    assert Slicer("newline").feed(b"a\r\n\r\nb") == [b"a\r", b"\n", b"\r", b"\nb"]
    assert Slicer("newline").feed(b"a\n\nb") == [b"a\n", b"\nb"]
    data = bytes(range(256)) * 4
    one, two = Slicer("random", 5), Slicer("random", 5)
    pieces = one.feed(data) + one.flush()
    assert pieces == two.feed(data) + two.flush()
    assert b"".join(pieces) == data
    assert len({len(piece) for piece in pieces}) > 5


def test_pings(fake: FakeProviders) -> None:
    fake.script(Behaviour(events=6, ping_every=2))
    assert exchange(fake, request(fake)).body.count(b": ping\n\n") == 3
    assert exchange(fake, request(fake, path=PATHS[1])).body.count(b"event: ping\n") == 4


def test_one_huge_event(fake: FakeProviders) -> None:
    fake.script(Behaviour(events=1, text="x" * 5_000_000))
    assert b"x" * 5_000_000 in exchange(fake, request(fake)).body


@pytest.mark.parametrize("streamed", [True, False])
def test_declares_more_than_it_sends(fake: FakeProviders, streamed: bool) -> None:
    fake.script(Behaviour(missing_bytes=100))
    answer = exchange(fake, request(fake, stream=streamed))
    assert f"content-length: {len(answer.raw_body) + 100}".encode() in answer.head
    fake.wait_until(lambda: fake.bill().cut == 1)
    with pytest.raises(ValueError, match="gzip"):
        Behaviour(missing_bytes=1, gzip=True)


def test_labels_as_told(fake: FakeProviders) -> None:
    fake.script(
        Behaviour(content_type="text/plain", headers=(("x-odd", "100%"), ("set-cookie", "a=b")))
    )
    head = exchange(fake, request(fake)).head
    assert b"content-type: text/plain\r\n" in head
    assert b"x-odd: 100%\r\nset-cookie: a=b\r\n" in head


def test_error_pages_and_redirects(fake: FakeProviders) -> None:
    fake.once(
        Behaviour(status=502, html=True),
        Behaviour(redirect="http://127.0.0.1:9/v1"),
        Behaviour(redirect="http://127.0.0.1:9/v1", status=302),
    )
    page = exchange(fake, request(fake))
    assert (page.status, b"text/html" in page.head) == (502, True)
    assert page.body.startswith(b"<html>")
    answers = [exchange(fake, request(fake)) for _ in range(2)]
    assert [answer.status for answer in answers] == [307, 302]
    assert all(b"location: http://127.0.0.1:9/v1\r\n" in answer.head for answer in answers)


@pytest.mark.parametrize("size", [0, -1, (), (3, 0)])
def test_refuses_sizes_that_are_none(size: Any) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Behaviour(split=size)


def test_takes_chunked_requests_byte_by_byte(fake: FakeProviders) -> None:
    whole = request(fake)
    head, _, body = whole.partition(b"\r\n\r\n")
    head = head.replace(f"content-length: {len(body)}".encode(), b"transfer-encoding: chunked")
    half = len(body) // 2
    sent = head + b"\r\n\r\n%x;odd=1\r\n%b\r\n%x\r\n%b\r\n0\r\nx-trailer: 1\r\n\r\n" % (
        half,
        body[:half],
        len(body) - half,
        body[half:],
    )
    with connected(fake) as sock:
        for byte in sent:
            sock.send(bytes([byte]))
        read_until(sock, b"0\r\n\r\n")
    assert fake.requests[0].body == body
    assert fake.requests[0].json["messages"] == SAY_HI


def test_serves_one_connection_many_times(fake: FakeProviders) -> None:
    with connected(fake) as sock:
        sock.sendall(request(fake) * 3)
        received = b""
        while received.count(b"\r\n0\r\n\r\n") < 3:
            received += sock.recv(65536)
        fake.script(Behaviour(split=9))
        sock.sendall(request(fake))
        read_until(sock, b"0\r\n\r\n")
        assert fake.connections == 1
    assert [served.number for served in fake.requests] == [1, 2, 3, 4]


@pytest.mark.parametrize("change", [{}, {"split": 9}])
def test_an_old_client_reads_to_the_end(fake: FakeProviders, change: dict[str, Any]) -> None:
    fake.script(Behaviour(**change))
    bearer = f"authorization: Bearer {fake.openai_key}"
    body = request(fake).partition(b"\r\n\r\n")[2]
    answer = exchange(fake, post(body, PATHS[0], bearer, http="1.0"))
    assert b"transfer-encoding" not in answer.head
    assert answer.raw_body.endswith(b"data: [DONE]\n\n")


def test_waits_for_leave_to_send_the_body(fake: FakeProviders) -> None:
    head, _, body = request(fake).partition(b"\r\n\r\n")
    with connected(fake) as sock:
        sock.sendall(head + b"\r\nexpect: 100-continue\r\n\r\n")
        assert read_until(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        sock.sendall(body)
        read_until(sock, b"[DONE]")


def test_the_sdk_reads_what_is_badly_cut(fake: FakeProviders) -> None:
    fake.script(replace(UMLAUTS, split=1, line_end="\r\n", gzip=True))
    with openai.OpenAI(base_url=fake.openai_base_url, api_key=fake.openai_key) as client:
        chunks = client.chat.completions.create(model="m", messages=SAY_HI, stream=True)
        assert "".join(c.choices[0].delta.content or "" for c in chunks) == "Füße€😀" * 6
