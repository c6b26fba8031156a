"""The load generator believes nothing but whole streams."""

import asyncio

import pytest

from bench.client import Broken, Connection, Gauge, check, unchunk

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(text: str) -> bytes:
    return f'data: {{"choices":[{{"delta":{{"content":"{text}"}}}}]}}\n\n'.encode()


def stream(*events: bytes, end: bytes = b"data: [DONE]\n\n") -> bytes:
    return HEAD + b"".join(map(chunk, events)) + (chunk(end) if end else b"") + b"0\r\n\r\n"


def test_a_whole_stream_is_measured_by_its_body() -> None:
    body = event("a") + event("b") + b"data: [DONE]\n\n"
    assert check(stream(event("a"), event("b")), 2) == len(body)


@pytest.mark.parametrize(
    "raw",
    [
        stream(event("a")),
        stream(event("a"), event("b"), event("c")),
        stream(event("a"), event("b"), end=b""),
        stream(event("a"), event("b"), b'data: {"error":{"message":"no"}}\n\n'),
        stream(event("a"), event("b"))[:-5],
        stream(event("a"), event("b")) + b"more",
        stream(event("a"), event("b")).replace(b" 200 ", b" 502 "),
    ],
    ids=["too few", "too many", "no end mark", "error", "cut", "behind the end", "status"],
)
def test_anything_else_is_broken(raw: bytes) -> None:
    with pytest.raises(Broken):
        check(raw, 2)


def test_chunks_that_split_an_event_are_put_together() -> None:
    whole = event("a") + event("b") + b"data: [DONE]\n\n"
    raw = b"".join(chunk(whole[i : i + 7]) for i in range(0, len(whole), 7)) + b"0\r\n\r\n"
    assert unchunk(raw) == whole


def test_a_chunk_shorter_than_it_says_is_broken() -> None:
    with pytest.raises(Broken):
        unchunk(b"5\r\nabc\r\n0\r\n\r\n")


class Peer(asyncio.Protocol):
    """Answers each request with the next of ``answers``, in pieces of ``size`` bytes."""

    def __init__(self, answers: list[bytes], size: int) -> None:
        self._answers, self._size = answers, size
        self.gone = asyncio.Event()

    def connection_lost(self, error: Exception | None) -> None:
        self.gone.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        asyncio.get_running_loop().create_task(self._answer(self._answers.pop(0)))

    async def _answer(self, raw: bytes) -> None:
        assert isinstance(self._transport, asyncio.Transport)
        for start in range(0, len(raw), self._size):
            self._transport.write(raw[start : start + self._size])
            await asyncio.sleep(0.001)
        if not raw.endswith(b"0\r\n\r\n") and b"content-length" not in raw:
            self._transport.close()


async def ask(answers: list[bytes], size: int, count: int) -> tuple[list[int], int]:
    loop = asyncio.get_running_loop()
    peer = Peer(answers, size)
    server = await loop.create_server(lambda: peer, "127.0.0.1", 0)
    gauge = Gauge()
    async with server:
        port = server.sockets[0].getsockname()[1]
        _, connection = await loop.create_connection(lambda: Connection(gauge), "127.0.0.1", port)
        async with asyncio.timeout(20):
            try:
                sizes = [(await connection.ask(b"GET", 2)).size for _ in range(count)]
            finally:
                connection.close()
                await peer.gone.wait()
    return sizes, gauge.most


@pytest.mark.parametrize("size", [1, 3, 64, 10_000])
async def test_a_connection_serves_one_stream_after_the_other(size: int) -> None:
    whole = stream(event("a"), event("b"))
    sizes, most = await ask([whole, whole], size, 2)
    assert len(sizes) == 2
    assert most == 1


async def test_a_connection_cut_midway_is_broken() -> None:
    with pytest.raises(Broken, match="closed after"):
        await ask([stream(event("a"), event("b"))[:-20]], 50, 1)


async def test_an_error_with_a_length_ends_the_wait() -> None:
    refusal = b"HTTP/1.1 402 Payment Required\r\nContent-Length: 2\r\n\r\n{}"
    with pytest.raises(Broken, match="402"):
        await ask([refusal], 1000, 1)
