"""Reading usage out of answers. Pure: no database, no network, nothing kept of the text.

A meter is fed whole events. While they pass it counts the bytes of generated text by a regular
expression, which costs a fraction of parsing them; only an event that speaks of usage or of an
error is parsed. What a provider says of usage is exact; while it has said nothing, the text's
bytes are what an estimate is made of.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson

from proxy import sse

# Generated text in either protocol's deltas. In JSON a quote inside a string is escaped, so an
# unescaped one can't be part of the text.
_TEXT = re.compile(
    rb'"(?:content|text|partial_json|thinking|arguments|refusal|reasoning_content|reasoning)"'
    rb'\s*:\s*"([^"\\]*(?:\\.[^"\\]*)*)"'
)
_USAGE = re.compile(rb'"usage"\s*:\s*\{')
# Marks count at the start of a line only: generated text may hold the same words, but as JSON it
# never holds a line break. ``_START`` knows all three line ends.
_START = rb"(?:^|\r)"
_DATA = re.compile(_START + rb"data:", re.MULTILINE)
_ERROR = re.compile(
    _START + rb'(?:data:\s*\{\s*"error"\s*:\s*[{"]|event:[ \t]*error[ \t]*(?=[\r\n]))', re.MULTILINE
)
_MOST = 2**40  # tokens; more is nonsense, and is not believed


@dataclass(frozen=True)
class Tokens:
    """What a provider reported. ``input`` counts every input token, cached ones included."""

    input: int = 0
    cached: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    output: int = 0


class Meter:
    """Counts one answer. ``input_known`` and ``output_known``: what of ``tokens`` is reported."""

    END: ClassVar[bytes]  # how the event that ends a stream usually begins

    def __init__(self, *, hide_usage: bool = False) -> None:
        self.hide_usage = hide_usage
        self.tokens = Tokens()
        self.input_known = False
        self.output_known = False
        self.text_bytes = 0
        self.events_seen = False
        self.done = False
        self.failed = False

    @property
    def exact(self) -> bool:
        """The provider has reported all there is to bill."""
        return self.input_known and self.output_known

    def feed(self, events: bytes) -> bytes:
        """Count whole events; answers the bytes to pass on, the same unless one is to be hidden."""
        if b"error" in events and _ERROR.search(events):  # the first is far cheaper
            self.failed = True
            events = self._before_error(events)
        if not self.events_seen:
            self.events_seen = _DATA.search(events) is not None
        for match in _TEXT.finditer(events):
            self.text_bytes += match.end(1) - match.start(1)
        if self._ends(events):
            self.done = True
        if b'"usage"' in events and _USAGE.search(events):
            return self._read_events(events)
        return events

    def plain(self, body: bytes) -> None:
        """Count a whole answer that was not streamed."""
        for match in _TEXT.finditer(body):
            self.text_bytes += match.end(1) - match.start(1)
        answer = _json(body)
        if isinstance(answer, Mapping) and isinstance(answer.get("usage"), Mapping):
            self._report(answer["usage"], final=True)
        self.events_seen = self.done = True

    def _read_events(self, events: bytes) -> bytes:
        kept = []
        for event in sse.split(events):
            answer = _json(sse.data(event)) if _USAGE.search(event) else None
            if not isinstance(answer, Mapping) or not self._read_event(answer):
                kept.append(event)
        return b"".join(kept)

    def _before_error(self, events: bytes) -> bytes:
        kept = []
        for event in sse.split(events):
            if _ERROR.search(event):
                break
            kept.append(event)
        return b"".join(kept)

    def _ends(self, events: bytes) -> bool:
        """Whether the protocol's end mark is among the events."""
        raise NotImplementedError

    def _read_event(self, answer: Mapping[str, Any]) -> bool:
        """Take usage from an event; answers whether the event is to be hidden."""
        raise NotImplementedError

    def _report(self, usage: Mapping[str, Any], *, final: bool) -> None:
        raise NotImplementedError


class OpenAIMeter(Meter):
    """Chat completions: usage comes in the last event but one, with no choices."""

    END = b"data: [DONE]"

    def _ends(self, events: bytes) -> bool:
        return _says(events, b"[DONE]", b"data:")

    def _read_event(self, answer: Mapping[str, Any]) -> bool:
        usage = answer.get("usage")
        if not isinstance(usage, Mapping):
            return False
        self._report(usage, final=True)
        return self.hide_usage and not answer.get("choices")

    def _report(self, usage: Mapping[str, Any], *, final: bool) -> None:
        details = usage.get("prompt_tokens_details")
        total = _count(usage.get("prompt_tokens"))
        output = _count(usage.get("completion_tokens"))
        if total is None or output is None:
            return
        if not isinstance(details, Mapping):
            details = {}
        # Parts of the prompt's tokens, both; models without a price for writing report none.
        cached = min(_count(details.get("cached_tokens")) or 0, total)
        written = min(_count(details.get("cache_write_tokens")) or 0, total - cached)
        self.tokens = Tokens(input=total, cached=cached, cache_write=written, output=output)
        self.input_known = self.output_known = True


class AnthropicMeter(Meter):
    """Messages: ``message_start`` reports the input, each ``message_delta`` all output so far."""

    END = b"event: message_stop"

    def _ends(self, events: bytes) -> bool:
        return _says(events, b"message_stop", b"event:")

    def _read_event(self, answer: Mapping[str, Any]) -> bool:
        kind = answer.get("type")
        if kind == "message_start":
            message = answer.get("message")
            if isinstance(message, Mapping) and isinstance(message.get("usage"), Mapping):
                self._report(message["usage"], final=False)
        elif kind == "message_delta" and isinstance(answer.get("usage"), Mapping):
            self._report(answer["usage"], final=True)
        return False

    def _report(self, usage: Mapping[str, Any], *, final: bool) -> None:
        old = self.tokens
        fresh = _count(usage.get("input_tokens"))
        if fresh is None:
            # A delta that repeats only the output leaves the input as message_start gave it.
            fresh = old.input - old.cached - old.cache_write - old.cache_write_1h
        else:
            self.input_known = True
        cached = _or(_count(usage.get("cache_read_input_tokens")), old.cached)
        written = _or(
            _count(usage.get("cache_creation_input_tokens")), old.cache_write + old.cache_write_1h
        )
        parts = usage.get("cache_creation")
        hour = (
            _count(parts.get("ephemeral_1h_input_tokens")) if isinstance(parts, Mapping) else None
        )
        hour = min(_or(hour, old.cache_write_1h), written)
        output = _count(usage.get("output_tokens"))
        if output is not None and final:
            self.output_known = True
        self.tokens = Tokens(
            input=fresh + cached + written,
            cached=cached,
            cache_write=written - hour,
            cache_write_1h=hour,
            output=_or(output, old.output),
        )


def _says(events: bytes, mark: bytes, field: bytes) -> bool:
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


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= _MOST else None


def _or(value: int | None, default: int) -> int:
    return default if value is None else value
