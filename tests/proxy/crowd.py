"""Very many clients at once, over bare sockets: the cheapest ones there can be."""

import asyncio
import json
import socket
import struct
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from tests.fakes.providers.server import new_loop
from tests.proxy.dialects import Dialect
from tests.proxy.wire import request

T = TypeVar("T")

# Every body is padded to so many bytes: a hundred tokens, at the four bytes that a token has.
BODY_BYTES = 400
INPUT_TOKENS = 100


@dataclass
class Seen:
    """What one client saw: all bytes, and the seconds to the first of them."""

    got: bytes = b""
    first: float = 0.0

    @property
    def status(self) -> int:
        return int(self.got[9:12] or 0)

    @property
    def whole(self) -> bool:
        """Whether the answer came to its proper end."""
        head, _, body = self.got.partition(b"\r\n\r\n")
        if b"transfer-encoding: chunked" in head:
            return body.endswith(b"0\r\n\r\n")
        return f"content-length: {len(body)}\r\n".encode() in head + b"\r\n"


def asking(
    dialect: Dialect, key: str, *, size: int = BODY_BYTES, words: str = "", **more: Any
) -> bytes:
    """The bytes of a streamed request whose body has exactly ``size`` of them."""
    more = {"max_tokens": 1_000, **more}
    bare = _compact(dialect.body(words + " ", stream=True, **more))
    padded = words + " " + "x" * (size - len(bare))
    body = _compact(dialect.body(padded, stream=True, **more))
    assert len(body) == size
    return request(dialect, key, body, headers={"connection": "close"})


def _compact(body: Any) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def run(main: Coroutine[Any, Any, T]) -> T:
    """``asyncio.run`` on the cheapest loop there is."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(main)


async def ask(
    port: int,
    data: bytes,
    doors: asyncio.Semaphore,
    *,
    leave_at: Callable[[bytes], bool] | None = None,
    rudely: bool = False,
) -> Seen:
    """Send ``data`` and read all there is, or up to where ``leave_at`` says of what came so far to
    leave; ``rudely``: with a reset. ``doors``: how many may be waiting for their first byte."""
    await doors.acquire()
    client = _Client(data, doors, leave_at, rudely)
    try:
        await asyncio.get_running_loop().create_connection(lambda: client, "127.0.0.1", port)
        await client.over
    finally:
        client.leave()
    return client.seen


class _Client(asyncio.Protocol):
    """One call over one connection; ``over`` is done when the connection is."""

    __slots__ = ("_began", "_data", "_doors", "_leave_at", "_rudely", "_transport", "over", "seen")

    def __init__(
        self,
        data: bytes,
        doors: asyncio.Semaphore,
        leave_at: Callable[[bytes], bool] | None,
        rudely: bool,
    ) -> None:
        self._data, self._leave_at, self._rudely = data, leave_at, rudely
        self._doors: asyncio.Semaphore | None = doors
        self._transport: asyncio.Transport | None = None
        self._began = 0.0
        self.seen = Seen()
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no asyncio.Transport
        self._began = time.monotonic()
        self._transport.write(self._data)

    def data_received(self, data: bytes) -> None:
        seen = self.seen
        if not seen.got:
            seen.first = time.monotonic() - self._began
            self._let_another_in()
        seen.got += data
        if self._leave_at is not None and self._transport and self._leave_at(seen.got):
            if self._rudely:
                sock = self._transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.leave()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._let_another_in()
        if not self.over.done():
            self.over.set_result(None)

    def leave(self) -> None:
        """Close, if it is not closed, and hear no more."""
        if self._transport is not None:
            self._transport.close()
            self._leave_at = None
        self._let_another_in()

    def _let_another_in(self) -> None:
        if self._doors is not None:
            self._doors.release()
            self._doors = None
