"""Reading messages."""

import re
from collections.abc import Mapping
from typing import Any

from proxy.meter.base import START, STRING, Meter, count, either, mapping, says
from usage.prices import Usage

_TEXT = re.compile(rb'"(?:text|partial_json|thinking)"' + STRING)
_ERROR = re.compile(
    START + rb'(?:data:\s*\{\s*"error"\s*:\s*[{"]|event:[ \t]*error[ \t]*(?=[\r\n]))', re.MULTILINE
)


class MessagesMeter(Meter):
    """Messages: ``message_start`` reports the input, each ``message_delta`` all output so far."""

    ENDS = (b"event: message_stop",)
    TEXT = PLAIN_TEXT = _TEXT
    ERROR = _ERROR

    def _ends(self, events: bytes) -> bool:
        return says(events, b"message_stop", b"event:")

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
        fresh = count(usage.get("input_tokens"))
        if fresh is None:
            # A delta that repeats only the output leaves the input as message_start gave it.
            fresh = old.input - old.cached - old.cache_write - old.cache_write_1h
        else:
            self.input_known = True
        cached = either(count(usage.get("cache_read_input_tokens")), old.cached)
        written = either(
            count(usage.get("cache_creation_input_tokens")), old.cache_write + old.cache_write_1h
        )
        hour = count(mapping(usage.get("cache_creation")).get("ephemeral_1h_input_tokens"))
        hour = min(either(hour, old.cache_write_1h), written)
        output = count(usage.get("output_tokens"))
        if output is not None and final:
            self.output_known = True
            self.counted_bytes = self.text_bytes
        output = either(output, old.output)
        thought = count(mapping(usage.get("output_tokens_details")).get("thinking_tokens"))
        self.tokens = Usage(
            input=fresh + cached + written,
            cached=cached,
            cache_write=written - hour,
            cache_write_1h=hour,
            output=output,
            reasoning=min(either(thought, old.reasoning), output),
        )
