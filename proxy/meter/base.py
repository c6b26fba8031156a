"""What all meters share."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

import orjson

from proxy import sse
from usage.prices import Usage

# A string in JSON: a quote inside it is escaped, so an unescaped one can't be part of the text.
STRING = rb'\s*:\s*"([^"\\]*(?:\\.[^"\\]*)*)"'
_USAGE = re.compile(rb'"usage"\s*:\s*\{')
# Marks count at the start of a line only: generated text may hold the same words, but as JSON it
# never holds a line break. ``START`` knows all three line ends.
START = rb"(?:^|\r)"
_DATA = re.compile(START + rb"data:", re.MULTILINE)
_MOST = 2**40  # tokens; more is nonsense, and is not believed


class Meter:
    """Counts one answer. ``input_known`` and ``output_known``: what of ``tokens`` is reported;
    ``text_bytes``: of generated text, as JSON writes it, in so many ``text_events`` of a stream.

    Of the text, ``counted_bytes`` had passed when output was last reported: some providers report
    with every event, and what comes after a report is not in it.
    """

    ENDS: ClassVar[tuple[bytes, ...]] = ()  # how the events that end a stream usually begin
    TEXT: ClassVar[re.Pattern[bytes]]  # generated text in an event that adds to it
    PLAIN_TEXT: ClassVar[re.Pattern[bytes]]  # generated text in an answer that was not streamed
    ERROR: ClassVar[re.Pattern[bytes]]  # an event that tells an error

    def __init__(self, *, hide_usage: bool = False) -> None:
        self.hide_usage = hide_usage
        self.tokens = Usage()
        self.input_known = False
        self.output_known = False
        self.text_bytes = 0
        self.text_events = 0
        self.counted_bytes = 0
        self.events_seen = False
        self.done = False
        self.failed = False

    @property
    def output_exact(self) -> bool:
        """The provider has reported all of the output that has passed."""
        return self.output_known and self.counted_bytes == self.text_bytes

    @property
    def exact(self) -> bool:
        """The provider has reported all there is to bill."""
        return self.input_known and self.output_exact

    def feed(self, events: bytes) -> bytes:
        """Count whole events; answers the bytes to pass on, the same unless one is to be hidden."""
        if b"error" in events and self.ERROR.search(events):  # the first is far cheaper
            self.failed = True
            events = self._before_error(events)
        if not self.events_seen:
            self.events_seen = _DATA.search(events) is not None
        self._count_text(self.TEXT.findall(events))
        if self._ends(events):
            self.done = True
        if b'"usage"' in events and (found := _USAGE.search(events)):
            return self._read_events(events, found.start())
        return events

    def skim(self, events: bytes) -> bool:
        """Count whole events that hold text alone. False, and nothing counted, for those that may
        hold anything else: an error, usage, the end, or the stream's first event."""
        if not self.events_seen or b"error" in events or self._ends(events):
            return False
        if b'"usage"' in events and _USAGE.search(events):
            return False
        self._count_text(self.TEXT.findall(events))
        return True

    def _count_text(self, found: list[bytes]) -> None:
        self.text_bytes += sum(map(len, found))
        self.text_events += len(found) - found.count(b"")

    def plain(self, body: bytes) -> None:
        """Count a whole answer that was not streamed."""
        for match in self.PLAIN_TEXT.finditer(body):
            self.text_bytes += match.end(1) - match.start(1)
        answer = _json(body)
        if isinstance(answer, Mapping) and isinstance(answer.get("usage"), Mapping):
            self._report(answer["usage"], final=True)
        self.events_seen = self.done = True

    def _read_events(self, events: bytes, first: int = 0) -> bytes:
        """Read what reports usage, none of which is before the place ``first``; answers the events
        that are not hidden."""
        kept = []
        if b"\r" not in events:  # the usual case: nothing before it is looked at
            start = events.rfind(b"\n\n", 0, first) + 2
            if start > 1:
                kept.append(events[:start])
                events = events[start:]
        for event in sse.split(events):
            answer = _json(sse.data(event)) if _USAGE.search(event) else None
            if not isinstance(answer, Mapping) or not self._read_event(answer):
                kept.append(event)
        return b"".join(kept)

    def _before_error(self, events: bytes) -> bytes:
        kept = []
        for event in sse.split(events):
            if self.ERROR.search(event):
                break
            kept.append(event)
        return b"".join(kept)

    def _ends(self, events: bytes) -> bool:
        """Whether the protocol's end mark is among the events."""
        raise NotImplementedError

    def split_end(self, events: bytes) -> tuple[bytes, bytes]:
        """Whole events in two: what comes before the one that ends the stream, and that."""
        place = max(map(events.rfind, self.ENDS), default=-1)
        return (events[:place], events[place:]) if place > 0 else (b"", events)

    def _read_event(self, answer: Mapping[str, Any]) -> bool:
        """Take usage from an event; answers whether the event is to be hidden."""
        raise NotImplementedError

    def _report(self, usage: Mapping[str, Any], *, final: bool) -> None:
        raise NotImplementedError


def says(events: bytes, mark: bytes, field: bytes) -> bool:
    """Whether a line of whole events is ``field`` and ``mark`` and nothing else.

    Generated text may hold the mark too; it is looked for by its bytes, because a regular
    expression would try every one of the others.
    """
    place = events.find(mark)
    while place >= 0:
        end = place + len(mark)
        # A few bytes around the mark tell; a whole look-back would be quadratic.
        ahead, behind = events[max(place - 32, 0) : place], events[end : end + 16]
        line = ahead[max(ahead.rfind(b"\n"), ahead.rfind(b"\r")) + 1 :].rstrip(b" \t")
        if line == field and behind.lstrip(b" \t")[:1] in (b"\r", b"\n"):
            return True
        place = events.find(mark, end)
    return False


def _json(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= _MOST else None


def either(value: int | None, default: int) -> int:
    return default if value is None else value


def mapping(value: Any) -> Mapping[str, Any]:
    """A part of an answer that should be an object; of anything else nothing is read."""
    return value if isinstance(value, Mapping) else {}
