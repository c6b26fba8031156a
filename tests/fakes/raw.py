"""A client that hides nothing: requests as bytes, answers as they came."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.fakes.providers import FakeProviders

SAY_HI = [{"role": "user", "content": "hi"}]


@dataclass
class Answer:
    """All that came until the connection ended, and whether it ended by a reset."""

    received: bytes
    was_reset: bool

    @property
    def head(self) -> bytes:
        return self.received.partition(b"\r\n\r\n")[0]

    @property
    def raw_body(self) -> bytes:
        return self.received.partition(b"\r\n\r\n")[2]

    @property
    def status(self) -> int:
        return int(self.received.split(b" ", 2)[1])

    @property
    def chunks(self) -> list[bytes]:
        """The whole chunks of a chunked body, the empty one at the end included."""
        chunks, rest = [], self.raw_body
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            length = int(size, 16)
            if len(rest) < length + 2:
                break
            chunks.append(rest[:length])
            rest = rest[length + 2 :]
        return chunks

    @property
    def body(self) -> bytes:
        chunked = b"transfer-encoding: chunked" in self.head
        return b"".join(self.chunks) if chunked else self.raw_body

    @property
    def ended(self) -> bool:
        """Whether a chunked body came to its end."""
        return self.chunks[-1:] == [b""]


def request(fake: FakeProviders, *, path: str = "/v1/chat/completions", **fields: Any) -> bytes:
    """A request of either protocol, for a stream unless told otherwise."""
    anthropic = path == "/v1/messages"
    asked = {"model": "m", "stream": True, "messages": SAY_HI}
    asked |= {"max_tokens": 1000} if anthropic else {}
    key = fake.anthropic_key if anthropic else fake.openai_key
    credential = f"x-api-key: {key}" if anthropic else f"authorization: Bearer {key}"
    return post(json.dumps(asked | fields).encode(), path, credential)


def post(
    body: bytes, path: str, *headers: str, version: str = "2023-06-01", http: str = "1.1"
) -> bytes:
    """A POST request as bytes; with an empty `version` the header is left out."""
    lines = [f"POST {path} HTTP/{http}", "host: fake", f"content-length: {len(body)}", *headers]
    if version:
        lines.append(f"anthropic-version: {version}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@contextmanager
def connected(fake: FakeProviders) -> Iterator[socket.socket]:
    """A connection that is closed afterwards."""
    with socket.create_connection((fake.host, fake.port), timeout=5) as sock:
        yield sock


def read_until(sock: socket.socket, mark: bytes) -> bytes:
    """What comes up to and beyond the mark; fails when the connection ends first."""
    received = b""
    while mark not in received:
        data = sock.recv(65536)
        assert data, f"ended after {received!r}"
        received += data
    return received


def exchange(fake: FakeProviders, sent: bytes) -> Answer:
    """Send, ask for the connection to close after it, and read to the end."""
    with connected(fake) as sock:
        sock.sendall(sent.replace(b"\r\n", b"\r\nconnection: close\r\n", 1))
        received, was_reset = b"", False
        while True:
            try:
                data = sock.recv(65536)
            except ConnectionResetError:
                was_reset = True
                break
            if not data:
                break
            received += data
    return Answer(received, was_reset)
