"""uvicorn's HTTP protocol, with errors of its own in the error contract's shape.

What the parser refuses (a bare CR or LF in a header, say) never reaches the application, nor does
what never becomes a request: a head that does not end, or not in time.
"""

import socket
from asyncio import BaseTransport, TimerHandle
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.conf import settings
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from common.errors import BadInput, FareboxError, TooLarge
from common.ids import uuid7
from config.shutdown import Phase, stopping
from proxy import errors

# When the process ends: how long a connection without a request is kept for one that may already be
# on its way. Closing at once would reset it, and its client could not know what became of it.
LINGER_SECONDS = 1

# Of a request's line and headers, bytes; uvicorn sets no bound here. Others take 8 KiB (nginx, for
# a line) to 60 KiB (Envoy).
MAX_HEAD_BYTES = 64 * 1024
# What the kernel keeps for a client that does not take it. By itself it keeps megabytes: of memory,
# and of an answer that nobody has read, but that a provider was asked for. Doubled, as the kernel
# does, it still fills a line of 10 Mbit/s around half the world.
SEND_BUFFER = 128 * 1024


class HttpProtocol(HttpToolsProtocol):
    """Run as ``uvicorn --http config.http:HttpProtocol``."""

    # While a request's head is waited for: until when, whether it has begun, and how much came.
    _head_timer: TimerHandle | None = None
    _in_head = False
    _head_bytes = 0
    # What to do when the client goes, while a call is open that wants to know.
    _left: Callable[[], None] | None = None
    _lost = False

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:
            self._wait_for_head(len(data))
        elif self._head_timer is None and self.cycle is not None and self.cycle.response_complete:
            self._start_head_timer()  # what is left of a request that was answered before its end

    def _wait_for_head(self, size: int) -> None:
        """A head is not whole yet; usually it comes in one piece."""
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(TooLarge(f"The request's headers are larger than {MAX_HEAD_BYTES} bytes."))
        elif self._head_timer is None:
            self._start_head_timer()

    def _start_head_timer(self) -> None:
        self._head_timer = self.loop.call_later(settings.CLIENT_HEAD_SECONDS, self._head_is_late)

    def _stop_head_timer(self) -> None:
        self._in_head, self._head_bytes = False, 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._in_head:
            self._refuse(BadInput("The request's headers did not arrive in time."))
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        super().connection_lost(exc)
        self._lost = True
        if self._left is not None:
            self._left()

    def watch(self, left: Callable[[], None] | None) -> None:
        """Have ``left`` called when the client goes, at once if it has: a task that waits for
        ``http.disconnect`` costs a paid call ten times as much. ``None`` ends the watch."""
        self._left = left
        if left is not None:
            self.flow.resume_reading()  # else nobody would see it go
            if self._lost:
                left()

    def on_message_begin(self) -> None:
        """Give the application a way to drop a client that does not read, for closing would wait
        for it to take what is buffered; and one to be told when the client goes."""
        super().on_message_begin()
        self._in_head = True
        extensions: dict[str, Any] = {
            "farebox.abort": {"abort": self.transport.abort},
            "farebox.watch": {"watch": self.watch},
        }
        if stopping.phase >= Phase.CLOSED and self.cycle is not None:
            extensions["farebox.late"] = {}
        self.scope["extensions"] = extensions

    def on_headers_complete(self) -> None:
        self._stop_head_timer()
        super().on_headers_complete()
        if stopping.phase:
            self.leave()

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._start_head_timer()
        raw = transport.get_extra_info("socket")
        if raw is not None and raw.family != socket.AF_UNIX:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        if stopping.phase >= Phase.CLOSED:  # it was taken in the very moment of the end
            self.shutdown()

    def leave(self) -> None:
        """Ask the client to use another connection for its next request, where it still can be
        asked: an answer that has begun is not touched."""
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """Close once no answer is open, and after a moment in which a last request is answered."""
        self.leave()
        self.timeout_keep_alive = LINGER_SECONDS
        if self.cycle is None or self.cycle.response_complete:
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                LINGER_SECONDS, self.timeout_keep_alive_handler
            )

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, and close."""
        self._refuse(
            BadInput("The request is not valid HTTP: look for a line break inside a header.")
        )

    def _refuse(self, error: FareboxError) -> None:
        """Answer what does not become a request, and close."""
        self._stop_head_timer()
        self.transport.write(_refusal(error, getattr(self, "url", None) or b"", uuid7()))
        self.transport.close()


def _refusal(error: FareboxError, url: bytes, request_id: UUID) -> bytes:
    protocol = "anthropic" if url.startswith(b"/v1/messages") else "openai"
    body = errors.body(error, protocol, str(request_id))
    id_header = b"request-id" if protocol == "anthropic" else b"x-request-id"
    return b"\r\n".join(
        (
            b"HTTP/1.1 %d %b" % (error.status, HTTPStatus(error.status).phrase.encode()),
            b"content-type: application/json",
            b"content-length: %d" % len(body),
            id_header + b": " + str(request_id).encode(),
            b"connection: close",
            b"",
            body,
        )
    )
