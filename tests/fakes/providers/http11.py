"""As much of HTTP/1.1 as a provider's edge needs, parsed by hand because it is measured."""

from __future__ import annotations

from http import HTTPStatus

MAX_HEAD = 64 * 1024


class BadRequest(Exception):
    """Bytes that are not a request."""


class Head:
    """A request's head. The same bytes give the same head, so that heads can be kept."""

    __slots__ = (
        "chunked", "expects_continue", "headers", "is_http_11", "keep_alive", "length",
        "method", "path", "raw", "verified",
    )  # fmt: skip

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        lines = raw.decode("latin-1").split("\r\n")
        try:
            self.method, target, version = lines[0].split(" ")
        except ValueError:
            raise BadRequest(lines[0]) from None
        self.path = target.partition("?")[0]
        self.headers: dict[str, str] = {}
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon or name != name.strip():
                raise BadRequest(line)
            name, value = name.lower(), value.strip()
            before = self.headers.get(name)
            self.headers[name] = value if before is None else f"{before}, {value}"
        length = self.headers.get("content-length", "0")
        if not length.isdigit():
            raise BadRequest(f"content-length: {length}")
        self.length = int(length)
        self.chunked = "chunked" in self.headers.get("transfer-encoding", "").lower()
        self.is_http_11 = version == "HTTP/1.1"
        connection = self.headers.get("connection", "").lower()
        self.keep_alive = "close" not in connection if self.is_http_11 else False
        self.expects_continue = self.headers.get("expect", "").lower() == "100-continue"
        self.verified = False


def take_chunked(data: bytearray) -> bytes | None:
    """Remove a whole chunked body from the front of `data`; None while it is not whole."""
    body, at = bytearray(), 0
    while True:
        line_end = data.find(b"\r\n", at)
        if line_end < 0:
            return None
        try:
            size = int(bytes(data[at:line_end]).partition(b";")[0], 16)
        except ValueError:
            raise BadRequest("chunk size") from None
        start = line_end + 2
        if not size:
            # Trailers, if any, end with an empty line.
            end = start + 2 if data[start : start + 2] == b"\r\n" else data.find(b"\r\n\r\n", start)
            if end < 0 or len(data) < start + 2:
                return None
            del data[: end if data[start : start + 2] == b"\r\n" else end + 4]
            return bytes(body)
        if len(data) < start + size + 2:
            return None
        body += data[start : start + size]
        at = start + size + 2


def status_line(status: int) -> bytes:
    """The first line of an answer."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Overloaded" if status == 529 else "Unknown"
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()


def header_lines(headers: list[tuple[str, str]]) -> bytes:
    """Headers as they stand on the wire, without the empty line that ends them."""
    return "".join(f"{name}: {value}\r\n" for name, value in headers).encode()


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"
