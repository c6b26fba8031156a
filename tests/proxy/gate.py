"""A way to a port that can be shut, so that nobody is there, or blocked, so that nobody answers."""

import asyncio
import ctypes
import socket
import struct

# Linux's number for it, which ``socket`` does not name, and the filter that drops all there is.
_SO_ATTACH_FILTER = 26
_DROP = struct.pack("HBBI", 0x06, 0, 0, 0)


class Gate:
    """Passes connections on to ``target`` on loopback while it is open. Used within one loop.

    Connections that are under way stay, whatever becomes of the gate.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._blocking: socket.socket | None = None
        self.port = 0

    async def drained(self) -> None:
        """Wait, once it is shut or blocked, until nothing is under way through it."""
        for _ in range(10):  # turns of the loop, in which who was accepted is served
            await asyncio.sleep(0)
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def open(self) -> None:
        if self._blocking is not None:
            self._blocking.close()
            self._blocking = None
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
        """Who connects waits in vain: what comes to the listener is dropped, from the first on."""
        self.shut()
        listener = self._blocking = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        code = ctypes.create_string_buffer(_DROP)
        program = struct.pack("HP", 1, ctypes.addressof(code))
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
        listener.bind(("127.0.0.1", self.port))
        listener.listen()

    async def close(self) -> None:
        """Shut it, and cut what is under way."""
        self.shut()
        if self._blocking is not None:
            self._blocking.close()
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
