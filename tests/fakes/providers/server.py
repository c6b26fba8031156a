"""The listening socket and what its connections share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .connection import Connection
from .http11 import Head
from .kitchen import Kitchen
from .register import Register
from .wheel import Wheel

try:
    import uvloop
except ImportError:  # the plain loop does, at a higher price
    new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
else:
    new_loop = uvloop.new_event_loop


class Server:
    """Both providers on one port, within a running event loop."""

    def __init__(self, kitchen: Kitchen, loop: asyncio.AbstractEventLoop) -> None:
        self.kitchen = kitchen
        self.loop = loop
        self.wheel = Wheel(loop)
        self.connections: set[Connection] = set()
        self.heads: dict[bytes, Head] = {}
        self._listener: asyncio.Server | None = None

    @property
    def register(self) -> Register:
        return self.kitchen.register

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port: a free one when 0 was asked for."""
        self._listener = await self.loop.create_server(
            lambda: Connection(self), host, port, backlog=4096
        )
        return int(self._listener.sockets[0].getsockname()[1])

    def reset(self) -> None:
        """Break off what is being served, forget all records and scripts."""
        for connection in list(self.connections):
            if connection.served is not None:
                connection.abort()
        self.kitchen.menu.clear()
        self.register.clear()

    async def stop(self) -> None:
        """Close the listener and every connection."""
        if self._listener is not None:
            self._listener.close()
        playing = [one.task for one in self.connections if one.task is not None]
        for connection in list(self.connections):
            connection.abort()
        await asyncio.sleep(0)  # lets each of them hear that it is lost, and cancel its task
        await asyncio.gather(*playing, return_exceptions=True)
