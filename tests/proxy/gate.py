"""A way to a port that can be shut, so that nobody is there, or blocked, so that nobody answers."""

import asyncio
import socket


class Gate:
    """Passes connections on to ``target`` on loopback while it is open. Used within one loop.

    Connections that are under way stay, whatever becomes of the gate.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._blocking: list[socket.socket] = []
        self.port = 0

    async def open(self) -> None:
        for one in self._blocking:
            one.close()
        self._blocking = []
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def shut(self) -> None:
        """Who connects is refused."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def block(self) -> None:
        """Who connects waits in vain: the queue of a listener that accepts nobody is full."""
        self.shut()
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(0)
        self._blocking = [listener]
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self._blocking.append(filler)

    async def close(self) -> None:
        """Shut it, and cut what is under way."""
        self.shut()
        for one in self._blocking:
            one.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            back, forth = await asyncio.open_connection("127.0.0.1", self._target)
            try:
                await asyncio.gather(_pass_on(reader, forth), _pass_on(back, writer))
            finally:
                forth.close()
        except OSError:
            pass
        finally:
            writer.close()
            self._tasks.discard(task)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while part := await reader.read(2**16):
        writer.write(part)
        await writer.drain()
    writer.close()
