"""The providers, over HTTP. The only file that knows the HTTP client.

The client is aiohttp itself rather than httpx over it: measured for a streamed call of 20 events
it takes two thirds of the CPU, and httpx has had no release for over a year.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from typing import Protocol as TypingProtocol

import aiohttp

from common.errors import UpstreamError, UpstreamTimeout
from proxy.errors import Unbounded

# Of an answer that is an error, no more than this is read.
_ERROR_BYTES = 64 * 1024


class Asker(TypingProtocol):
    """Whom a request is sent for: ``sent`` becomes true when it is on its way."""

    sent: bool


class Answer(TypingProtocol):
    """A provider's answer: ``read`` gives the next bytes, and none at the end."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    async def read(self) -> bytes: ...

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

    def headers_for(self, client: Mapping[bytes, bytes]) -> dict[str, str]:
        """The allow-list: nothing of the client's goes on but the protocol's own switches."""
        headers = dict(self.headers)
        for name in self.passed_on:
            if name in client:
                headers[name.decode()] = client[name].decode("latin-1")
        return headers


class HttpAnswer:
    """An answer over HTTP; compressed ones come out plain."""

    __slots__ = ("_response", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers = response.headers

    async def read(self) -> bytes:
        """Raises ``UpstreamError`` when the connection breaks."""
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError):
            raise UpstreamError("The provider broke off its answer.", should_retry=False) from None

    async def finish(self) -> None:
        """Read to the end, so that the connection can serve again; give up after a second."""
        content = self._response.content
        try:
            async with asyncio.timeout(1):
                while not content.at_eof():
                    await content.readany()
        except (TimeoutError, aiohttp.ClientError, OSError):
            self._response.close()
        else:
            self._response.release()

    def close(self) -> None:
        """Drop the connection; the provider sees its client gone."""
        self._response.close()


class Upstream:
    """One HTTP client for a process. No cap on connections: open calls are bounded by money."""

    def __init__(self, connect_seconds: float) -> None:
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_mark_sent)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_seconds),
            skip_auto_headers=("User-Agent", "Accept"),
            headers={"user-agent": "farebox", "accept-encoding": "gzip, deflate"},
            read_bufsize=2**15,
            trust_env=False,
            trace_configs=[trace],
        )

    async def post(
        self, provider: Provider, path: str, body: bytes, client: Mapping[bytes, bytes], call: Asker
    ) -> HttpAnswer:
        """Send a request; answers once the status is known.

        Raises ``UpstreamError`` and ``UpstreamTimeout``. They say ``should_retry=False`` when the
        provider may have seen the request, and so may charge for it.
        """
        try:
            response = await self._session.post(
                provider.base_url + path,
                data=body,
                headers=provider.headers_for(client),
                allow_redirects=False,
                trace_request_ctx=call,
            )
        except (aiohttp.ServerTimeoutError, TimeoutError):
            raise UpstreamTimeout(
                "The provider could not be reached in time.", should_retry=_unless(call.sent)
            ) from None
        except (aiohttp.ClientError, OSError, ValueError):
            raise UpstreamError(
                "The provider could not be reached."
                if not call.sent
                else "The provider closed the connection without an answer.",
                should_retry=_unless(call.sent),
            ) from None
        return HttpAnswer(response)

    async def close(self) -> None:
        await self._session.close()


def _unless(sent: bool) -> bool | None:
    return False if sent else None


async def _mark_sent(
    _session: aiohttp.ClientSession,
    context: SimpleNamespace,
    _params: aiohttp.TraceRequestHeadersSentParams,
) -> None:
    """The request is on its way: from here on the provider may charge for it."""
    call: Any = context.trace_request_ctx
    call.sent = True


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
    """What there is of an error's body, within bounds; never raises for a broken one."""
    body = b""
    try:
        while len(body) < _ERROR_BYTES and (part := await answer.read()):
            body += part
    except UpstreamError:
        pass
    return body[:_ERROR_BYTES]
