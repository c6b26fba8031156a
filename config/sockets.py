"""uvicorn's WebSocket protocol, with bounds on what a client can make this process keep.

uvicorn closes a connection only when the client has taken what is buffered for it. A client that
reads nothing would be kept for as long as its TCP connection lives; here it is dropped.
"""

import random
import socket
from asyncio.transports import BaseTransport
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from config.shutdown import stopping

SEND_BUFFER = 32 * 1024  # the kernel's, bytes; it doubles that
WRITE_BUFFER = 16 * 1024  # this process's, bytes: from there on sending waits
LINGER_SECONDS = 1.0


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Run as ``uvicorn --ws config.sockets:WebSocketProtocol``."""

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER)
        raw = self.transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)

    def handle_connect(self, event: Request) -> None:
        """Give the application a way to drop a client that does not read."""
        super().handle_connect(event)
        if hasattr(self, "scope"):
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions["farebox.abort"] = {"abort": self.transport.abort}

    def handle_ping(self) -> None:
        """Answer, unless the client asks without ever reading the answers."""
        super().handle_ping()
        if self.transport.get_write_buffer_size() > 2 * WRITE_BUFFER:
            self.transport.abort()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self._drop_soon()

    def shutdown(self) -> None:
        """Close with 1012, in a moment of this socket's own: otherwise all clients of this process
        would come back to the others at once."""
        self.loop.call_later(random.uniform(0, stopping.spread), self._shut)

    def _shut(self) -> None:
        if not (self.disconnected or self.transport.is_closing()):
            super().shutdown()
            self._drop_soon()

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.close":
            self._drop_soon(self.close_timeout)

    def _drop_soon(self, seconds: float = 0.0) -> None:
        """A close that the client has not taken by then is cut short."""
        self.loop.call_later(seconds + LINGER_SECONDS, self._drop)

    def _drop(self) -> None:
        if not self.disconnected:
            self.transport.abort()
