"""Very many clients at once, over bare sockets: the cheapest ones there can be."""

import asyncio
import json
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.proxy.dialects import Dialect
from tests.proxy.wire import request

# Every body is padded to so many bytes: a hundred tokens, at the four bytes that a token has.
BODY_BYTES = 400
INPUT_TOKENS = 100


@dataclass
class Seen:
    """What one client saw: all bytes, and the seconds to the first of them."""

    got: bytes = b""
    first: float = 0.0

    @property
    def status(self) -> int:
        return int(self.got[9:12] or 0)

    @property
    def whole(self) -> bool:
        """Whether the answer came to its proper end."""
        head, _, body = self.got.partition(b"\r\n\r\n")
        if b"transfer-encoding: chunked" in head:
            return body.endswith(b"0\r\n\r\n")
        return f"content-length: {len(body)}\r\n".encode() in head + b"\r\n"


def asking(
    dialect: Dialect, key: str, *, size: int = BODY_BYTES, words: str = "", **more: Any
) -> bytes:
    """The bytes of a streamed request whose body has exactly ``size`` of them."""
    more = {"max_tokens": 1_000, **more}
    bare = _compact(dialect.body(words + " ", stream=True, **more))
    padded = words + " " + "x" * (size - len(bare))
    body = _compact(dialect.body(padded, stream=True, **more))
    assert len(body) == size
    return request(dialect, key, body, headers={"connection": "close"})


def _compact(body: Any) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


async def ask(
    port: int,
    data: bytes,
    doors: asyncio.Semaphore,
    *,
    leave_at: Callable[[bytes], bool] | None = None,
    rudely: bool = False,
) -> Seen:
    """Send ``data`` and read all there is, or up to where ``leave_at`` says of what came so far to
    leave; ``rudely``: with a reset. ``doors``: how many may be waiting for their first byte."""
    seen = Seen()
    await doors.acquire()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.monotonic()
    try:
        writer.write(data)
        while part := await reader.read(65_536):
            if not seen.got:
                seen.first = time.monotonic() - began
                doors.release()
            seen.got += part
            if leave_at is not None and leave_at(seen.got):
                if rudely:
                    linger = struct.pack("ii", 1, 0)
                    sock = writer.get_extra_info("socket")
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                break
    except ConnectionResetError:
        pass
    finally:
        writer.close()
        if not seen.got:
            doors.release()
    return seen
