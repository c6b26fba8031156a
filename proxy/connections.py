"""The connections to all providers: those that wait for a request, and how new ones are made."""

import asyncio
import socket
import ssl
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import aiohappyeyeballs

from proxy.http1 import Connection

# Providers and what stands before them close idle connections after a minute or more.
_IDLE_SECONDS = 30.0
_LOOKED_UP_SECONDS = 10.0
# How long an address has for itself before the next one is tried beside it (RFC 8305).
_HEAD_START = 0.25
# What the kernel may keep of an answer that is not read (Linux takes twice that, its own needs
# included): by itself it lets this grow to megabytes for each stalled client. It is enough for two
# megabytes a second from another continent.
_RECEIVE_BYTES = 256 * 1024

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Origin:
    """Whom one talks to at an address: ``host_header`` is what the request calls it."""

    secure: bool
    host: str
    port: int
    host_header: bytes


@lru_cache(maxsize=1024)
def origin_of(base_url: str) -> tuple[Origin, bytes]:
    """An address's origin, and its path. Raises ``ValueError``."""
    parts = urlsplit(base_url)
    if parts.scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be an http or https address")
    port = parts.port or _PORTS[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    told = host if port == _PORTS[parts.scheme] else f"{host}:{port}"
    origin = Origin(parts.scheme == "https", parts.hostname, port, told.encode("ascii"))
    return origin, parts.path.rstrip("/").encode("ascii")


def _make_socket(found: aiohappyeyeballs.AddrInfoType) -> socket.socket:
    """The size of its buffer is told before it connects, when the window's scale is agreed on."""
    family, kind, protocol, _, _ = found
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
    except OSError:
        made.close()
        raise
    return made


class Connections:
    """There is no cap on them: open calls are bounded by money."""

    def __init__(self, connect_seconds: float) -> None:
        self._connect_seconds = connect_seconds
        self._idle: dict[Origin, list[Connection]] = {}
        self._all: set[Connection] = set()
        self._looked_up: dict[tuple[str, int], tuple[float, asyncio.Future[Any]]] = {}
        self._sweep: asyncio.TimerHandle | None = None
        self._tls: ssl.SSLContext | None = None

    async def take(self, origin: Origin) -> Connection:
        """A connection that nobody uses: the one used last, or a new one.

        Raises ``OSError``, and ``TimeoutError`` after ``connect_seconds``.
        """
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.usable:
                return connection
        async with asyncio.timeout(self._connect_seconds):
            return await self._connect(origin)

    async def close(self) -> None:
        """Drop them all."""
        if self._sweep is not None:
            self._sweep.cancel()
        self._idle.clear()
        for connection in list(self._all):
            connection.abort()
        await asyncio.sleep(0)  # in which they are closed

    async def _connect(self, origin: Origin) -> Connection:
        loop = asyncio.get_running_loop()
        found = await self._look_up(loop, origin.host, origin.port)
        opened = await aiohappyeyeballs.start_connection(
            found, happy_eyeballs_delay=_HEAD_START, loop=loop, socket_factory=_make_socket
        )

        connection = Connection(loop, lambda it: self._keep(origin, it), self._all.discard)
        tls = self._context() if origin.secure else None
        name = origin.host if origin.secure else None
        try:
            await loop.create_connection(
                lambda: connection, sock=opened, ssl=tls, server_hostname=name
            )
        except BaseException:
            connection.abort()
            opened.close()
            raise
        self._all.add(connection)
        return connection

    async def _look_up(self, loop: asyncio.AbstractEventLoop, host: str, port: int) -> Any:
        """A host's addresses, asked for once by whoever comes at the same time."""
        until, asked = self._looked_up.get((host, port), (0.0, None))
        if asked is None or until < time.monotonic():
            asked = asyncio.ensure_future(loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))
            self._looked_up[host, port] = (time.monotonic() + _LOOKED_UP_SECONDS, asked)
        try:
            return await asyncio.shield(asked)
        except OSError:
            self._looked_up.pop((host, port), None)
            raise

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls

    def _keep(self, origin: Origin, connection: Connection) -> None:
        connection.idle_since = time.monotonic()
        self._idle.setdefault(origin, []).append(connection)
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self._drop_old)

    def _drop_old(self) -> None:
        """Close what was not needed for a while: the first of each list waited the longest."""
        old = time.monotonic() - _IDLE_SECONDS
        for origin, idle in list(self._idle.items()):
            kept = [one for one in idle if one.usable and one.idle_since > old]
            for one in idle:
                if one.idle_since <= old:
                    one.abort()
            if kept:
                self._idle[origin] = kept
            else:
                del self._idle[origin]
        self._sweep = None
        if self._idle:
            loop = asyncio.get_running_loop()
            self._sweep = loop.call_later(_IDLE_SECONDS / 2, self._drop_old)
