"""The providers, over HTTP. The only file that knows the HTTP client.

That is a client of our own (``proxy.http1``): of a streamed call's CPU, aiohttp took a third, and
for events that come one by one more than all the rest.
"""

import asyncio
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol as TypingProtocol

from common.errors import UpstreamError, UpstreamTimeout
from proxy.connections import Connections, origin_of
from proxy.errors import Unbounded
from proxy.http1 import Broken, Reply, Take

# Sent with every request. Nothing compressed is asked for: unpacking events one by one costs more
# than their bytes do.
_ALWAYS = {"user-agent": "farebox", "accept-encoding": "identity"}
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
# Of a compressed answer, so many plain bytes are made at once.
_UNPACKED_BYTES = 64 * 1024

# Of an answer that is an error, no more than this is read, and no longer.
_ERROR_BYTES = 64 * 1024
_ERROR_SECONDS = 5.0


class Asker(TypingProtocol):
    """Whom a request is sent for: ``sent`` becomes true when it is on its way."""

    sent: bool


class Answer(TypingProtocol):
    """A provider's answer: ``read`` gives the next bytes, and none at the end, past those that
    ``take`` may have dealt with as they came; ``rest`` what has come and was not read, without
    waiting for more."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    async def read(self, take: Take | None = None) -> bytes: ...

    def rest(self) -> bytes: ...

    async def finish(self) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Provider:
    """Where a provider is, and the headers that carry one of its keys.

    ``kind`` is the protocol it speaks; ``drains``: its answers are read to the end although the
    client has left; ``output_field`` is what it calls the bound of the output; ``asks_usage``: a
    stream's usage has to be asked for.
    """

    name: str
    base_url: str
    headers: Mapping[str, str] = field(repr=False)
    passed_on: tuple[bytes, ...] = ()
    kind: str = "openai"
    drains: bool = False
    output_field: str = "max_completion_tokens"
    asks_usage: bool = True

    def head_for(self, client: Mapping[bytes, bytes]) -> bytes:
        """The request's headers. The allow-list: nothing of the client's goes on but the
        protocol's own switches. Raises ``ValueError`` for what no header can hold."""
        given = [name for name in self.passed_on if name in client]
        if not given:
            return self._own_head
        own = {name.encode(): value for name, value in self._sent.items()}
        return _head(own | {name: client[name].decode("latin-1") for name in given})

    @property
    def _sent(self) -> Mapping[str, str]:
        return {**_ALWAYS, **self.headers}

    @cached_property
    def _own_head(self) -> bytes:
        return _head({name.encode(): value for name, value in self._sent.items()})


def _head(headers: Mapping[bytes, str]) -> bytes:
    lines = []
    for name, text in headers.items():
        value = text.encode("latin-1")
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError("a header can't hold that")
        lines.append(name + b": " + value + b"\r\n")
    return b"".join(lines)


class HttpAnswer:
    """An answer over HTTP."""

    __slots__ = ("_reply", "headers", "status")

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self.status = reply.status
        self.headers: Mapping[str, str] = reply.headers

    async def read(self, take: Take | None = None) -> bytes:
        """Raises ``UpstreamError`` when the connection breaks, once all that came is read."""
        try:
            return await self._reply.read(take)
        except Broken:
            raise _broke_off() from None

    def rest(self) -> bytes:
        """What has come and was not read."""
        return self._reply.rest()

    async def finish(self) -> None:
        """Nothing more of it is wanted; its connection can serve again once it has ended."""
        self._reply.finish()

    def close(self) -> None:
        """Drop the connection; the provider sees its client gone."""
        self._reply.close()


class PackedAnswer(HttpAnswer):
    """One that comes compressed, though nobody asked for that: it is read plain, so much at once
    that a few bytes can't become very many."""

    __slots__ = ("_packed", "_unpack")

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply)
        self._unpack = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # gzip, and zlib's own
        self._packed = b""

    async def read(self, take: Take | None = None) -> bytes:
        while True:
            packed = self._packed or await super().read()
            if not packed:
                if self._unpack.eof:
                    return b""
                raise _broke_off()
            if plain := self._plain(packed):
                return plain

    def rest(self) -> bytes:
        packed = self._packed + super().rest()
        try:
            return self._plain(packed) if packed else b""
        except UpstreamError:
            return b""

    def _plain(self, packed: bytes) -> bytes:
        try:
            plain = self._unpack.decompress(packed, _UNPACKED_BYTES)
        except zlib.error:
            self.close()
            raise _broke_off() from None
        self._packed = self._unpack.unconsumed_tail
        return plain


class Upstream:
    """One HTTP client for a process."""

    def __init__(self, connect_seconds: float) -> None:
        self._connections = Connections(connect_seconds)

    async def post(
        self, provider: Provider, path: str, body: bytes, client: Mapping[bytes, bytes], call: Asker
    ) -> HttpAnswer:
        """Send a request; answers once the status is known.

        Raises ``UpstreamError`` and ``UpstreamTimeout``. They say ``should_retry=False`` when the
        provider may have seen the request, and so may charge for it.
        """
        try:
            origin, base = origin_of(provider.base_url)
            head = b"POST %b%b HTTP/1.1\r\nhost: %b\r\ncontent-length: %d\r\n%b\r\n" % (
                base, path.encode(), origin.host_header, len(body), provider.head_for(client),
            )  # fmt: skip
            connection = await self._connections.take(origin)
        except TimeoutError:
            raise UpstreamTimeout("The provider could not be reached in time.") from None
        except (OSError, ValueError):
            raise UpstreamError("The provider could not be reached.") from None
        call.sent = True  # from here on the provider may charge for it
        reply = connection.ask(head, body)
        try:
            await reply.head()
            return _answer(reply)
        except Broken:
            raise UpstreamError(
                "The provider closed the connection without an answer.", should_retry=False
            ) from None
        except BaseException:
            reply.close()
            raise

    async def close(self) -> None:
        await self._connections.close()


def _answer(reply: Reply) -> HttpAnswer:
    packing = reply.headers.get("content-encoding", "").lower()
    if packing in {"", "identity"}:
        return HttpAnswer(reply)
    if packing in {"gzip", "x-gzip", "deflate"}:
        return PackedAnswer(reply)
    raise UpstreamError("The provider's answer is not understood.", should_retry=False)


def _broke_off() -> UpstreamError:
    return UpstreamError("The provider broke off its answer.", should_retry=False)


async def read_bounded(answer: Answer, limit: int) -> bytes:
    """A whole answer of at most ``limit`` bytes. Raises ``UpstreamError`` for a longer one."""
    parts, size = [], 0
    while part := await answer.read():
        size += len(part)
        if size > limit:
            raise Unbounded("The provider's answer is too large.", should_retry=False)
        parts.append(part)
    return b"".join(parts)


async def read_error(answer: Answer) -> bytes:
    """What comes of an error's body, within bounds; never raises for a broken one."""
    body = b""
    try:
        async with asyncio.timeout(_ERROR_SECONDS):
            while len(body) < _ERROR_BYTES and (part := await answer.read()):
                body += part
    except TimeoutError:
        body += answer.rest()
    except UpstreamError:
        pass
    return body[:_ERROR_BYTES]
