"""A client of ``/ws/account``, for tests: over real sockets, by the ``websockets`` library."""

import json
import socket as sockets
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.proxy.server import Farebox


def key_headers(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def ticket_url(farebox: Farebox, headers: Mapping[str, str]) -> str:
    """A fresh ticket's address, on the port that this server has."""
    answer = httpx.post(f"{farebox.url}/api/ws-ticket", headers=dict(headers))
    assert answer.status_code == 201, answer.text
    parts = urlsplit(answer.json()["url"])
    return f"ws://127.0.0.1:{farebox.port}{parts.path}?{parts.query}"


class AccountSocket:
    """One open socket. Every wait has an end."""

    def __init__(self, url: str, **options: Any) -> None:
        self._stack = ExitStack()
        self.connection: ClientConnection = self._stack.enter_context(connect(url, **options))

    def __enter__(self) -> "AccountSocket":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def next(self, seconds: float = 5) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.connection.recv(seconds))
        return message

    def until(self, kind: str, seconds: float = 5, **fields: Any) -> dict[str, Any]:
        """The next message of a kind and with these fields; others are passed over."""
        deadline = time.monotonic() + seconds
        seen = []
        while (left := deadline - time.monotonic()) > 0:
            try:
                message = self.next(left)
            except TimeoutError:
                break
            if message["type"] == kind and fields.items() <= message.items():
                return message
            seen.append(message)
        raise AssertionError(f"no {kind} {fields} within {seconds} s, but {seen}")

    def is_quiet(self, seconds: float = 0.5) -> bool:
        """Nothing comes, though the socket is alive: it answers a ping at the end."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                message = self.next(left)
            except TimeoutError:
                break
            print(str(message)[:200])
            return False
        self.connection.send('{"type": "ping"}')
        return self.next() == {"type": "pong"}

    def closed(self, seconds: float = 5) -> tuple[int, str]:
        """Code and reason of the close, which comes in time; messages before it are passed over."""
        deadline = time.monotonic() + seconds
        with pytest.raises(ConnectionClosed) as end:
            self._read_on(deadline)
        assert end.value.rcvd is not None, f"no close frame: {end.value}"
        return end.value.rcvd.code, end.value.rcvd.reason

    def _read_on(self, deadline: float) -> None:
        while True:
            self.connection.recv(max(deadline - time.monotonic(), 0))


def open_socket(farebox: Farebox, headers: Mapping[str, str], **options: Any) -> AccountSocket:
    """Open one for whoever ``headers`` prove; its first message is still to be read."""
    return AccountSocket(ticket_url(farebox, headers), **options)


def open_told(farebox: Farebox, headers: Mapping[str, str], **options: Any) -> AccountSocket:
    """Open one that has had its first message."""
    socket = open_socket(farebox, headers, **options)
    assert socket.next()["type"] == "state"
    return socket


def open_deaf(farebox: Farebox, headers: Mapping[str, str]) -> sockets.socket:
    """A client that opens a socket, reads its first message, and nothing ever after."""
    raw = sockets.socket()
    raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    raw.connect(("127.0.0.1", farebox.port))
    path = ticket_url(farebox, headers).partition(str(farebox.port))[2]
    raw.sendall(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{farebox.port}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    seen = b""
    while b'"type":"state"' not in seen:
        seen += raw.recv(1024)
    return raw


def is_connected(farebox: Farebox, raw: sockets.socket) -> bool:
    """Whether the server's process still has the other end."""
    port = raw.getsockname()[1]
    connections = psutil.Process(farebox.pid).net_connections("tcp")
    return any(each.raddr and each.raddr.port == port for each in connections)
