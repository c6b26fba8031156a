"""Splitting a stream of server-sent events at event boundaries. Pure: bytes in, bytes out.

The bytes are never changed: what comes out, joined, is what went in (WHATWG HTML, section 9.2.5:
an event ends at an empty line; lines end with LF, CRLF or CR).
"""

import re

_MARKS = (b"\n\n", b"\n\r\n", b"\r\r")
_BOUNDARY = re.compile(rb"\n\r?\n|\r\r")


class EventTooLarge(Exception):
    """An event grew past the limit without ending."""


class Splitter:
    """Holds back the bytes of an event until it is whole. ``limit`` bounds what is held, bytes."""

    __slots__ = ("_buffer", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> bytes:
        """The bytes of all events that are whole now; empty when none is.

        Raises ``EventTooLarge``, but never for an event that comes behind whole ones: they are
        handed out first, and the next chunk meets the limit.
        """
        buffer = self._buffer
        if len(buffer) > self.limit:
            raise EventTooLarge
        if not buffer and chunk.endswith(b"\n\n"):  # the usual case: whole events, nothing held
            return chunk
        # A boundary may begin in what is held: look three bytes back, never at all of it again.
        start = max(len(buffer) - 3, 0)
        buffer += chunk
        end = 0
        for mark in _MARKS:
            place = buffer.rfind(mark, start)
            if place >= 0:
                end = max(end, place + len(mark))
        whole = bytes(buffer[:end])
        del buffer[:end]
        if len(buffer) > self.limit and not whole:
            raise EventTooLarge
        return whole

    @property
    def held(self) -> int:
        """Bytes of an event that has not ended."""
        return len(self._buffer)


def split(events: bytes) -> list[bytes]:
    """Whole events, each with the empty line that ends it."""
    if b"\r" not in events:  # the usual case
        *whole, rest = events.split(b"\n\n")
        out = [event + b"\n\n" for event in whole]
        return [*out, rest] if rest else out
    out, start = [], 0
    for match in _BOUNDARY.finditer(events):
        out.append(events[start : match.end()])
        start = match.end()
    if start < len(events):
        out.append(events[start:])
    return out


def data(event: bytes) -> bytes:
    """The data of one event, its lines joined by LF."""
    lines = event.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return b"\n".join(line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:"))
