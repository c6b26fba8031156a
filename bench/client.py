"""One keep-alive connection that asks for a stream and makes sure that it came whole.

It does as little as it can while bytes come in (it must be cheaper than what it measures): it
keeps them, looks for the end, and takes the answer apart once it is over.
"""

import asyncio
import re
import time
from dataclasses import dataclass
from typing import cast

_LAST_CHUNK = b"0\r\n\r\n"
# As the upstream writes it, and as whoever writes it anew may.
_CONTENT = b'"delta":{"content":"'
_ANY_CONTENT = re.compile(rb'"delta":\{[^{}]*"content":"[^"]')
_END = b"data: [DONE]\n\n"


class Broken(Exception):
    """An answer that is not whole, with the reason."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole stream: seconds to its first byte of content and to its end; bytes of its body."""

    first: float
    total: float
    size: int


class Gauge:
    """How many streams have begun to answer and not ended, now and at most."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0

    def up(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)

    def down(self) -> None:
        self.now -= 1


class Connection(asyncio.Protocol):
    """Made by ``loop.create_connection``; ``ask`` serves one request after the other."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._transport: asyncio.Transport | None = None
        self._parts: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._first = 0.0
        self._end = 0.0

    async def ask(self, request: bytes, events: int) -> Answer:
        """Send a request; answers when its stream is over. Raises ``Broken``."""
        if self._transport is None:
            raise Broken("the connection is closed")
        self._parts.clear()
        self._first = 0.0
        self._waiter = asyncio.get_running_loop().create_future()
        started = time.perf_counter()
        self._transport.write(request)
        try:
            await self._waiter
        finally:
            self._waiter = None
            if self._first:
                self._gauge.down()
        size = check(b"".join(self._parts), events)
        return Answer(self._first - started, self._end - started, size)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is of no common class

    def data_received(self, data: bytes) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():
            self.close()  # nobody asked
            return
        self._parts.append(data)
        # A head alone is no answer yet.
        if not self._first and (len(self._parts) > 1 or b"\r\n\r\n" in data[:-4]):
            self._first = time.perf_counter()
            self._gauge.up()
        if data.endswith(_LAST_CHUNK) or self._is_over(data):
            self._end = time.perf_counter()
            waiter.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self._waiter is not None and not self._waiter.done():
            seen = b"".join(self._parts)[:300].decode(errors="replace")
            self._waiter.set_exception(Broken(f"the connection closed after {seen!r}"))

    def _is_over(self, data: bytes) -> bool:
        """For an end that came in pieces, and for errors, which have a length."""
        size = len(_LAST_CHUNK)
        if len(data) < size and b"".join(self._parts[-size:]).endswith(_LAST_CHUNK):
            return True
        if len(self._parts) > 1 or data.startswith(b"HTTP/1.1 200"):
            return False
        head, _, body = data.partition(b"\r\n\r\n")
        _, found, length = head.lower().partition(b"content-length:")
        return bool(found) and len(body) >= int(length.split()[0])


def check(raw: bytes, events: int) -> int:
    """Take an answer apart: its status, its chunks, its events, its end mark.

    Answers the size of its body. Raises ``Broken`` unless it is a whole stream of ``events``
    content events.
    """
    head, _, rest = raw.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise Broken(raw[:500].decode(errors="replace"))
    body = unchunk(rest)
    found = body.count(_CONTENT)
    if found != events:
        found = len(_ANY_CONTENT.findall(body))
    if found != events or not body.endswith(_END) or b'"error"' in body:
        raise Broken(f"{found} of {events} events, ending in {body[-100:]!r}")
    return len(body)


def unchunk(raw: bytes) -> bytes:
    """The body of a chunked message. Raises ``Broken`` when it is not one whole message."""
    parts, place = [], 0
    try:
        while True:
            line = raw.index(b"\r\n", place)
            size = int(raw[place:line], 16)
            start, place = line + 2, line + 4 + size
            if raw[place - 2 : place] != b"\r\n":
                raise Broken("a chunk does not end where it should")
            if size == 0:
                break
            parts.append(raw[start : start + size])
    except ValueError:
        raise Broken("the chunks are not whole") from None
    if place != len(raw):
        raise Broken("there is something behind the last chunk")
    return b"".join(parts)
