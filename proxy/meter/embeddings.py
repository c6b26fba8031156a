"""Reading embeddings: never streamed, and no output to pay for."""

import re
from collections.abc import Mapping
from typing import Any

from proxy.meter.base import Meter, count
from usage.prices import Usage

_NOTHING = re.compile(rb"(?!)")


class EmbeddingsMeter(Meter):
    """Embeddings: usage is the input's tokens."""

    TEXT = PLAIN_TEXT = ERROR = _NOTHING

    def __init__(self, *, hide_usage: bool = False) -> None:
        super().__init__(hide_usage=hide_usage)
        self.output_known = True

    def _report(self, usage: Mapping[str, Any], *, final: bool) -> None:
        total = count(usage.get("prompt_tokens"))
        if total is None:  # Voyage names nothing else
            total = count(usage.get("total_tokens"))
        if total is not None:
            self.tokens = Usage(input=total)
            self.input_known = True
