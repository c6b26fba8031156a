"""Reading chat completions."""

import re
from collections.abc import Mapping
from typing import Any

from proxy.meter.base import START, STRING, Meter, Tokens, count, mapping, says

# The fields of deltas and of whole messages, those of OpenAI-compatible providers included.
_TEXT = re.compile(rb'"(?:content|arguments|refusal|reasoning_content|reasoning)"' + STRING)
_ERROR = re.compile(
    START + rb'(?:data:\s*\{\s*"error"\s*:\s*[{"]|event:[ \t]*error[ \t]*(?=[\r\n]))', re.MULTILINE
)


class ChatMeter(Meter):
    """Chat completions: usage comes in the last event but one, with no choices."""

    ENDS = (b"data: [DONE]",)
    TEXT = PLAIN_TEXT = _TEXT
    ERROR = _ERROR

    def _ends(self, events: bytes) -> bool:
        return says(events, b"[DONE]", b"data:")

    def _read_event(self, answer: Mapping[str, Any]) -> bool:
        usage = answer.get("usage")
        if not isinstance(usage, Mapping):
            return False
        self._report(usage, final=True)
        return self.hide_usage and not answer.get("choices")

    def _report(self, usage: Mapping[str, Any], *, final: bool) -> None:
        total = count(usage.get("prompt_tokens"))
        output = count(usage.get("completion_tokens"))
        if total is None or output is None:
            return
        details = mapping(usage.get("prompt_tokens_details"))
        # Parts of the prompt's tokens, both; models without a price for writing report none.
        cached = min(count(details.get("cached_tokens")) or 0, total)
        written = min(count(details.get("cache_write_tokens")) or 0, total - cached)
        thought = count(mapping(usage.get("completion_tokens_details")).get("reasoning_tokens"))
        self.tokens = Tokens(
            input=total,
            cached=cached,
            cache_write=written,
            output=output,
            reasoning=min(thought or 0, output),
        )
        self.input_known = self.output_known = True
