"""Answering over ASGI, and reading a request's body within bounds."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

from django.conf import settings

from common.errors import FareboxError, TooLarge, Unavailable
from proxy import errors
from proxy.call import Call
from proxy.stepping import Rest

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

# However slowly a body comes, it ends within this many times CLIENT_BODY_SECONDS.
_BODY_PATIENCE = 10
# So many bytes of a body may always be there, whatever else is waited for: most have fewer.
_FREE_BYTES = 64 * 1024


class ClientLeft(Exception):
    """The client went away before its request was whole."""


class Waiting:
    """The bytes of bodies that are not whole yet, in all of the process: what slow senders can make
    it keep. Beyond ``MAX_WAITING_BYTES`` large bodies are refused, and small ones still pass."""

    def __init__(self) -> None:
        self.bytes = 0

    def add(self, size: int) -> None:
        """Raises ``Unavailable`` when there are too many, and then counts none of them."""
        if self.bytes + size > settings.MAX_WAITING_BYTES:
            raise Unavailable(
                "Too many large requests are arriving at once; try again.", retry_after=2
            )
        self.bytes += size


waiting = Waiting()


async def read_body(receive: Receive, headers: Mapping[bytes, bytes]) -> bytes:
    """The request's body.

    Raises ``TooLarge``, ``BadInput`` (too slow), ``Unavailable`` (too much is waited for) and
    ``ClientLeft``.
    """
    limit = settings.MAX_REQUEST_BYTES
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > limit:
        raise TooLarge(f"The request is larger than {limit} bytes.")
    body, counted = bytearray(), 0
    loop = asyncio.get_running_loop()
    pause = settings.CLIENT_BODY_SECONDS
    end = loop.time() + pause * _BODY_PATIENCE
    try:
        while True:
            message = await _received(receive, min(loop.time() + pause, end))
            if message["type"] == "http.disconnect":
                raise ClientLeft
            part: bytes = message.get("body", b"")
            if len(body) + len(part) > limit:
                raise TooLarge(f"The request is larger than {limit} bytes.")
            if not message.get("more_body"):
                return bytes(body) + part if body else part
            body += part
            if (more := len(body) - _FREE_BYTES - counted) > 0:
                waiting.add(more)
                counted += more
    except TimeoutError:
        raise errors.BodyTooSlow("The request's body did not arrive in time.") from None
    finally:
        waiting.bytes -= counted


async def _received(receive: Receive, until: float) -> MutableMapping[str, Any]:
    """The next message, by the loop's time ``until``. Most bodies are there already, with their
    head, and then no timer is needed. Raises ``TimeoutError``."""
    receiving = receive().__await__()
    try:
        blocked = next(receiving)
    except StopIteration as done:
        found: MutableMapping[str, Any] = done.value
        return found
    async with asyncio.timeout_at(until):
        return await Rest(receiving, blocked)


async def start(send: Send, status: int, headers: Headers) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})


async def whole(
    send: Send, status: int, body: bytes, headers: Headers, kind: bytes = b"application/json"
) -> None:
    """An answer in one piece."""
    length = str(len(body)).encode()
    await start(send, status, [(b"content-type", kind), (b"content-length", length), *headers])
    await send({"type": "http.response.body", "body": body})


async def refuse(send: Send, error: FareboxError, protocol: str, request_id: str) -> None:
    """An error in the shape of the protocol that was called."""
    headers = [(name.encode(), value.encode()) for name, value in error.headers.items()]
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    body = errors.body(error, protocol, request_id)
    await whole(send, errors.status(error, protocol), body, [*headers, *ids(protocol, request_id)])


def of_call(call: Call, protocol: str) -> list[tuple[bytes, bytes]]:
    """What every paid answer carries: its receipt's id, and what the plan's limits leave."""
    call_id = call.name
    told = [(b"x-farebox-call", call_id.encode()), *ids(protocol, call_id)]
    if call.limits is not None:
        told += call.limits.headers()
    return told


def ids(protocol: str, request_id: str) -> list[tuple[bytes, bytes]]:
    """The request's id, in the header each protocol's SDK reads."""
    value = request_id.encode()
    if protocol == "anthropic":
        return [(b"request-id", value), (b"x-request-id", value)]
    return [(b"x-request-id", value)]
