"""Reading OpenAI's Responses.

The events that begin and end a stream repeat the whole response, and those that end a part repeat
its text: generated text is counted in deltas alone.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from proxy import sse
from proxy.meter.base import START, STRING, Meter, count, mapping, says
from usage.prices import Usage

_TEXT = re.compile(rb'"delta"' + STRING)
_PLAIN_TEXT = re.compile(rb'"(?:text|arguments|refusal|input)"' + STRING)
_ERROR = re.compile(
    START + rb"(?:event:[ \t]*(?:error|response\.failed)[ \t]*(?=[\r\n])"
    rb'|data:\s*\{\s*"(?:error"\s*:\s*[{"]|type"\s*:\s*"(?:error|response\.failed)"))',
    re.MULTILINE,
)
_NUMBER = re.compile(rb'"sequence_number"\s*:\s*(\d{1,12})')
_LAST = (b"response.completed", b"response.incomplete")


class ResponsesMeter(Meter):
    """Responses: the event that ends a stream reports usage, a failure's too.

    ``response`` is what the first event said of the response, without its texts, and
    ``next_number`` the number of the event that would follow: what an error event of our own has
    to go on with.
    """

    ENDS = tuple(b"event: " + name for name in _LAST)
    TEXT = _TEXT
    PLAIN_TEXT = _PLAIN_TEXT
    ERROR = _ERROR

    def __init__(self, *, hide_usage: bool = False) -> None:
        super().__init__(hide_usage=hide_usage)
        self.response: dict[str, Any] = {}
        self._newest = b""

    def feed(self, events: bytes) -> bytes:
        if not self.events_seen:
            self._read_first(events)
        out = super().feed(events)
        self._newest = out or self._newest
        return out

    def skim(self, events: bytes) -> bool:
        skimmed = super().skim(events)
        if skimmed:
            self._newest = events
        return skimmed

    @property
    def output_exact(self) -> bool:
        """Usage is reported once, for the whole response."""
        return self.output_known

    @property
    def next_number(self) -> int:
        numbers = _NUMBER.findall(self._newest)
        return int(numbers[-1]) + 1 if numbers else 0

    def _read_first(self, events: bytes) -> None:
        """Keep a few words of ``response.created``."""
        for event in sse.split(events):
            try:
                told = orjson.loads(sse.data(event))
            except orjson.JSONDecodeError:
                continue
            response = mapping(mapping(told).get("response"))
            if response:
                names = ("id", "object", "created_at", "model")
                self.response = {name: response[name] for name in names if name in response}
                return

    def _before_error(self, events: bytes) -> bytes:
        """What a failure says of usage counts."""
        if b'"usage"' in events:
            self._read_events(events)
            self.done = False
        return super()._before_error(events)

    def _ends(self, events: bytes) -> bool:
        return any(name in events and says(events, name, b"event:") for name in _LAST)

    def _read_event(self, answer: Mapping[str, Any]) -> bool:
        usage = mapping(answer.get("response")).get("usage")
        if isinstance(usage, Mapping):
            self._report(usage, final=True)
        if answer.get("type") in ("response.completed", "response.incomplete"):
            self.done = True
        return False

    def _report(self, usage: Mapping[str, Any], *, final: bool) -> None:
        total = count(usage.get("input_tokens"))
        output = count(usage.get("output_tokens"))
        if total is None or output is None:
            return
        # Parts of the input's tokens, both.
        details = mapping(usage.get("input_tokens_details"))
        cached = min(count(details.get("cached_tokens")) or 0, total)
        written = min(count(details.get("cache_write_tokens")) or 0, total - cached)
        thought = count(mapping(usage.get("output_tokens_details")).get("reasoning_tokens"))
        self.tokens = Usage(
            input=total,
            cached=cached,
            cache_write=written,
            output=output,
            reasoning=min(thought or 0, output),
        )
        self.input_known = self.output_known = True
