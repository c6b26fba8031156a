"""A client made of a bare socket: it sends any bytes, reads at its own pace, and leaves at will."""

import json
import socket
import struct
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from tests.proxy.dialects import Dialect
from tests.proxy.server import Farebox


class Wire:
    """One connection to the server. A context manager; leaving it closes the connection."""

    def __init__(self, farebox: Farebox, *, receive_buffer: int = 0, timeout: float = 15) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect(("127.0.0.1", farebox.port))
        self.got = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def ask(self, dialect: Dialect, key: str, **more: Any) -> None:
        """Send a whole request."""
        self.send(request(dialect, key, json.dumps(dialect.body(**more)).encode()))

    def read_until(self, mark: bytes) -> bytes:
        """Read until ``mark`` is in what came, and return all that came."""
        while mark not in self.got:
            part = self.socket.recv(4096)
            assert part, f"the server closed; it had sent {self.got[-500:]!r}"
            self.got += part
        return self.got

    def read_all(self) -> bytes:
        """Read until the server closes, however it does."""
        try:
            while part := self.socket.recv(65536):
                self.got += part
        except ConnectionResetError:
            pass
        return self.got

    def read_answer(self) -> tuple[int, dict[str, str], bytes]:
        """Read one answer with a Content-Length off the front: status, headers, body."""
        head, _, _ = self.read_until(b"\r\n\r\n").partition(b"\r\n\r\n")
        status, headers = read_head(head)
        end = len(head) + 4 + int(headers["content-length"])
        while len(self.got) < end:
            part = self.socket.recv(65536)
            assert part
            self.got += part
        body, self.got = self.got[len(head) + 4 : end], self.got[end:]
        return status, headers, body

    def is_closed_by_server(self, seconds: float) -> bool:
        """Whether the server closes within so long, whatever else it sends."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                if not self.socket.recv(65536):
                    return True
            except TimeoutError:
                return False
            except ConnectionResetError:
                return True
        return False

    def reset(self) -> None:
        """Leave with a TCP reset."""
        linger = struct.pack("ii", 1, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.socket.close()

    def half_close(self) -> None:
        """Say that nothing more will be sent, and go on reading."""
        self.socket.shutdown(socket.SHUT_WR)


def request(
    dialect: Dialect,
    key: str,
    body: bytes,
    *,
    method: str = "POST",
    path: str = "",
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """A request as bytes; header values are sent exactly as they are given."""
    lines = {
        "host": "127.0.0.1",
        **dialect.headers(key),
        "content-length": str(len(body)),
        **(headers or {}),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path or dialect.path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body


def read_head(head: bytes) -> tuple[int, dict[str, str]]:
    """Status and headers, names in lower case."""
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.split(": ", 1) for line in lines)
    return int(first.split(" ")[1]), {name.lower(): value for name, value in pairs}
