"""Reading transcriptions: in one piece, their sound counted in tokens by the provider."""

import re
from collections.abc import Mapping
from typing import Any

from proxy.meter.base import STRING, Meter, count, mapping
from usage.prices import Usage

_NOTHING = re.compile(rb"(?!)")


class TranscriptionMeter(Meter):
    """Transcriptions: usage is the tokens of sound, of the prompt, and of the text. A count of
    seconds, which some models report instead, is none of tokens and is not taken for one: then the
    sound is taken for the tokens that it is ``likely`` to have."""

    TEXT = ERROR = _NOTHING
    PLAIN_TEXT = re.compile(rb'"text"' + STRING)

    def __init__(self, *, hide_usage: bool = False, likely: int = 0) -> None:
        super().__init__(hide_usage=hide_usage)
        self.tokens = Usage(input=likely, audio=likely)

    def _report(self, usage: Mapping[str, Any], *, final: bool) -> None:
        given, said = count(usage.get("input_tokens")), count(usage.get("output_tokens"))
        if given is None or said is None:
            return
        text = count(mapping(usage.get("input_token_details")).get("text_tokens")) or 0
        # What is not said to be text is sound, the dearer of the two.
        self.tokens = Usage(input=given, output=said, audio=max(given - text, 0))
        self.counted_bytes = self.text_bytes
        self.input_known = self.output_known = True
