"""Reading chat completions, OpenAI's and those of the providers that speak like it."""

import re
from collections.abc import Mapping
from typing import Any

from proxy.meter.base import START, STRING, Meter, count, either, mapping, says
from usage.prices import Usage

# The fields of deltas and of whole messages, those of OpenAI-compatible providers included
# (``input`` is what a custom tool is called with); and parts of type text, which is how Mistral
# tells thoughts.
_TEXT = re.compile(
    rb'"(?:content"|arguments"|input"|refusal"|reasoning_content"|reasoning"'
    rb'|type"\s*:\s*"text"\s*,\s*"text")' + STRING
)
# OpenRouter and Mistral tell an error in a chunk that ends its choice.
_ERROR = re.compile(
    START + rb'(?:data:\s*\{\s*"error"\s*:\s*[{"]|event:[ \t]*error[ \t]*(?=[\r\n]))'
    rb'|"finish_reason"\s*:\s*"error"',
    re.MULTILINE,
)


class ChatMeter(Meter):
    """Chat completions: usage comes in the last event but one, with no choices.

    Elsewhere it comes beside the last choice (Mistral, DeepSeek, OpenRouter), within it (Kimi),
    under ``x_groq``, or in every event, each time for all that has passed (Gemini).
    """

    ENDS = (b"data: [DONE]",)
    TEXT = PLAIN_TEXT = _TEXT
    ERROR = _ERROR

    def _ends(self, events: bytes) -> bool:
        return says(events, b"[DONE]", b"data:")

    def _read_event(self, answer: Mapping[str, Any]) -> bool:
        usage = answer.get("usage")
        if isinstance(usage, Mapping):
            self._report(usage, final=True)
            return self.hide_usage and not answer.get("choices")
        choices = answer.get("choices")
        for holder in (answer.get("x_groq"), *(choices if isinstance(choices, list) else ())):
            usage = mapping(holder).get("usage")
            if isinstance(usage, Mapping):
                self._report(usage, final=True)
        return False

    def _report(self, usage: Mapping[str, Any], *, final: bool) -> None:
        prompt = count(usage.get("prompt_tokens"))
        said = count(usage.get("completion_tokens"))
        total = count(usage.get("total_tokens"))
        if prompt is None or (said is None and total is None):
            return
        details = mapping(usage.get("prompt_tokens_details"))
        # Parts of the prompt's tokens, both; models without a price for writing report none.
        cached = min(_cached(usage, details), prompt)
        written = min(count(details.get("cache_write_tokens")) or 0, prompt - cached)
        thought = count(mapping(usage.get("completion_tokens_details")).get("reasoning_tokens"))
        # OpenAI counts reasoning among the completion's tokens. xAI and Gemini leave it out, and
        # only the total tells (docs.x.ai, "consumption and rate limits"; Gemini names it nowhere).
        beside = max(either(total, 0) - prompt - either(said, 0), 0)
        output = either(said, 0) + beside
        self.tokens = Usage(
            input=prompt,
            cached=cached,
            cache_write=written,
            output=output,
            reasoning=min(max(thought or 0, beside), output),
        )
        self.input_known = self.output_known = True
        self.counted_bytes = self.text_bytes


def _cached(usage: Mapping[str, Any], details: Mapping[str, Any]) -> int:
    """Tokens read from the provider's cache, where OpenAI tells them, DeepSeek, or Kimi."""
    places = (
        details.get("cached_tokens"), usage.get("prompt_cache_hit_tokens"),
        usage.get("cached_tokens"),
    )  # fmt: skip
    return next((told for place in places if (told := count(place)) is not None), 0)
