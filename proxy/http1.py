"""HTTP/1.1 to the providers: connections that are kept, one request on each at a time.

Of a client's features it has those that a paid call needs, and is cheap for it: bytes go from the
socket through the parser (llhttp, which uvicorn uses too) to who waits for them, without a task or
a timer in between. No redirects, cookies, or proxies from the environment; nothing is sent twice.
What is buffered is bounded: while nobody reads, the provider is not read from.

Raises ``Broken`` for whatever a provider does wrong, and ``OSError`` where none can be reached.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

# Bytes of an answer that are kept for who reads slower than they come.
_MOST_HELD = 64 * 1024
# Bytes without any of a body: the head, interim answers, the lengths of chunks, trailers.
_MOST_BARREN = 64 * 1024
# How long the end of an answer is waited for, once everything of interest has come.
_LINGER_SECONDS = 1.0

# What to do with bytes that have just come: true when that is done, false to leave them to who
# reads; or what is still to be awaited before anything else is read.
Take = Callable[[bytes], bool | Awaitable[None]]


class Broken(Exception):
    """The connection broke, or what came over it is not HTTP."""


class Reply:
    """What comes of one request. ``status`` and ``headers`` (by lower-case name; several of one
    joined by commas) are there once ``head`` returns."""

    __slots__ = (
        "_connection", "_ended", "_error", "_loop", "_parts", "_rest", "_size", "_take", "_waiter",
        "headers", "status",
    )  # fmt: skip

    def __init__(self, connection: "Connection", loop: asyncio.AbstractEventLoop) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self._connection: Connection | None = connection
        self._loop = loop
        self._parts: deque[bytes] = deque()
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._take: Take | None = None
        self._rest: Awaitable[None] | None = None
        self._ended = False
        self._error = False

    async def head(self) -> None:
        """Wait for the status and the headers. Raises ``Broken``."""
        while not self.status:
            if self._error:
                raise Broken
            await self._wait()

    async def read(self, take: Take | None = None) -> bytes:
        """The next bytes of the body, and none at its end. Raises ``Broken``, once all that came
        before the break is read.

        While it waits, bytes are offered to ``take`` as they come, and nobody is woken for those
        it has dealt with. What it raises is lost: it must not.
        """
        while True:
            if self._parts:
                return self.rest()
            if self._error:
                raise Broken
            if self._ended:
                return b""
            self._take = take
            try:
                await self._wait()
            finally:
                self._take = None
                rest, self._rest = self._rest, None
            if rest is not None:
                await rest

    def rest(self) -> bytes:
        """What has come and was not read, without waiting for more."""
        parts = self._parts
        if len(parts) == 1:
            found = parts.popleft()
        else:
            found = b"".join(parts)
            parts.clear()
        if self._size > _MOST_HELD and self._connection is not None:
            self._connection.go_on()
        self._size = 0
        return found

    def finish(self) -> None:
        """Nothing more of it is wanted. Its connection serves again if it ends soon."""
        if self._connection is not None:
            self._loop.call_later(_LINGER_SECONDS, self.close)
            self._take = _drop
            self._parts.clear()
            if self._size > _MOST_HELD:
                self._connection.go_on()
            self._size = 0

    def close(self) -> None:
        """Drop the connection, unless the answer is whole; the provider sees its client gone."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    # The connection's side.

    def came(self, body: bytes) -> bool:
        """Bytes of the body. Answers whether more of them may come."""
        take = self._take
        if take is not None and not self._parts and self._rest is None:
            done = take(body)
            if done is True:
                return True
            if done is not False:
                self._rest = done
                self.wake()
                return True
        self._parts.append(body)
        self._size += len(body)
        self.wake()
        return self._size <= _MOST_HELD

    def ended(self) -> None:
        """The answer is whole; its connection is its own again."""
        self._ended = True
        self._connection = None
        self.wake()

    def broke(self) -> None:
        """Nothing more will come, and it is not whole."""
        self._error = True
        self._connection = None
        self.wake()

    def wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


def _drop(_body: bytes) -> bool:
    return True


class Connection(asyncio.Protocol):
    """A connection to one provider. ``release`` is called when it can serve again, and ``lost``
    when it is gone."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        release: Callable[["Connection"], None],
        lost: Callable[["Connection"], None],
    ) -> None:
        self.idle_since = 0.0
        self._loop = loop
        self._release = release
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._parser = HttpResponseParser(self)
        self._reply: Reply | None = None
        self._headers: dict[str, str] = {}
        self._got: list[bytes] = []
        self._barren = 0
        self._whole = self._surplus = self._interim = False
        self._framed = self._keeps = False

    @property
    def usable(self) -> bool:
        """Whether a request can be sent over it."""
        transport = self._transport
        return self._reply is None and transport is not None and not transport.is_closing()

    def ask(self, head: bytes, body: bytes) -> Reply:
        """Send a request, of which ``head`` ends in an empty line."""
        assert self._transport is not None
        self._barren = 0
        self._whole = self._surplus = False
        reply = self._reply = Reply(self, self._loop)
        self._transport.writelines((head, body))
        return reply

    def go_on(self) -> None:
        """Read from the provider again."""
        if self._transport is not None:
            self._transport.resume_reading()

    def abort(self) -> None:
        self._reply = None
        if self._transport is not None:
            self._transport.abort()

    # asyncio's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is of no common class

    def data_received(self, data: bytes) -> None:
        reply = self._reply
        if reply is None:
            self.abort()  # nobody asked
            return
        self._barren += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._keeps = False
            if not self._whole:
                self._give(reply)
                self._break()
                return
        more = self._give(reply)
        if self._whole:
            self._end(reply)
        elif self._barren > _MOST_BARREN:
            self._break()
        elif not more and self._transport is not None:
            self._transport.pause_reading()

    def eof_received(self) -> None:
        """The provider has closed: ``connection_lost`` follows."""

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._lost(self)
        reply = self._reply
        if reply is None:
            return
        if error is None and reply.status and not self._framed:
            self._end(reply)  # the end of the connection is the end of the body
        else:
            self._break()

    def _give(self, reply: Reply) -> bool:
        got = self._got
        if not got:
            return True
        body = got[0] if len(got) == 1 else b"".join(got)
        got.clear()
        self._barren = 0
        return reply.came(body)

    def _end(self, reply: Reply) -> None:
        transport = self._transport
        self._reply = None
        reply.ended()
        if transport is None:
            return
        if self._keeps and not self._surplus and not transport.get_write_buffer_size():
            self._release(self)
        else:
            transport.abort()

    def _break(self) -> None:
        reply = self._reply
        self.abort()
        if reply is not None:
            reply.broke()

    # The parser's side; what is raised here becomes an ``HttpParserError``.

    def on_message_begin(self) -> None:
        if self._whole:
            self._surplus = True
        self._headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._reply is None or self._reply.status:
            return  # a trailer
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        known = self._headers.get(key)
        self._headers[key] = text if known is None else f"{known}, {text}"

    def on_headers_complete(self) -> None:
        reply, parser = self._reply, self._parser
        if reply is None or self._whole:
            return
        status = parser.get_status_code()
        self._interim = status < 200
        if self._interim:
            return
        headers = self._headers
        self._keeps = parser.should_keep_alive()
        self._framed = "content-length" in headers or "transfer-encoding" in headers
        reply.headers = headers
        reply.status = status
        reply.wake()

    def on_body(self, body: bytes) -> None:
        if not self._whole:
            self._got.append(body)

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
        else:
            self._whole = True
