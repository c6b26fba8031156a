"""Reading generated images: never streamed, and tokens that the provider alone can count."""

import re
from collections.abc import Mapping
from typing import Any

from proxy.meter.base import Meter, count
from usage.prices import Usage

_NOTHING = re.compile(rb"(?!)")
_IMAGE = re.compile(rb'"(?:b64_json|url)"\s*:')


class ImagesMeter(Meter):
    """Images: usage is the prompt's tokens and the images'. Without any, each image counts as the
    most that it can be, ``each``."""

    TEXT = PLAIN_TEXT = ERROR = _NOTHING

    def __init__(self, *, hide_usage: bool = False, each: int = 0) -> None:
        super().__init__(hide_usage=hide_usage)
        self._each = each

    def plain(self, body: bytes) -> None:
        super().plain(body)
        if not self.output_known:
            self.tokens = Usage(output=self._each * len(_IMAGE.findall(body)))

    def _report(self, usage: Mapping[str, Any], *, final: bool) -> None:
        given, made = count(usage.get("input_tokens")), count(usage.get("output_tokens"))
        if given is not None and made is not None:
            self.tokens = Usage(input=given, output=made)
            self.input_known = self.output_known = True
