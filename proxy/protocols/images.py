"""OpenAI's image generation, of models that are priced by tokens. Asked by jobs alone.

How many tokens an image takes is known beforehand, by its size and quality (OpenAI's guide "Image
generation", "Cost and latency"); what the provider reports is what is paid for.
"""

from collections.abc import Mapping
from typing import Any

from common.errors import BadInput
from proxy.bounds import Measured, measure
from proxy.delivery import Delivery
from proxy.meter import ImagesMeter
from proxy.protocols import base

LONGEST_PROMPT = 32_000
# By quality: 1024x1024, 1024x1536, 1536x1024.
_SIZES = ("1024x1024", "1024x1536", "1536x1024")
_TOKENS = {"low": (272, 408, 400), "medium": (1_056, 1_584, 1_568), "high": (4_160, 6_240, 6_208)}
# The models that these hold for; each with its dated versions.
_MODELS = ("gpt-image-1", "gpt-image-1-mini")
_TAKEN = {
    "model", "prompt", "n", "size", "quality", "background", "moderation", "output_format",
    "output_compression", "user",
}  # fmt: skip


def check(body: Mapping[str, Any]) -> None:
    for name in sorted(body.keys() - _TAKEN):
        raise BadInput(f"{name}: is not taken for an image.", param=name)
    prompt = body.get("prompt")
    if not isinstance(prompt, str) or not 0 < len(prompt) <= LONGEST_PROMPT:
        raise BadInput(f"prompt: must be text of 1 to {LONGEST_PROMPT} characters.", param="prompt")
    for name, known in (("size", _SIZES), ("quality", tuple(_TOKENS))):
        if body.get(name) not in (None, "auto", *known):
            raise BadInput(f"{name}: must be auto or one of {', '.join(known)}.", param=name)


def tokens_of(body: Mapping[str, Any], model: str) -> int:
    """The most tokens that each image of a checked request can take. Raises ``BadInput`` for a
    model whose images it is not known of."""
    if not any(f"{model}-".startswith(f"{name}-2") or model == name for name in _MODELS):
        raise BadInput("model: what its images cost is not known here.", param="model")
    size, quality = body.get("size"), body.get("quality")
    rows = [_TOKENS[quality]] if quality in _TOKENS else list(_TOKENS.values())
    places = [_SIZES.index(size)] if size in _SIZES else range(len(_SIZES))
    return max(row[place] for row in rows for place in places)


def measured(body: Mapping[str, Any], size: int, window: int | None, model: str = "") -> Measured:
    return measure([], size, window)


def adapt(body: dict[str, Any], clamp: int | None) -> None:
    """Nothing: size and quality bound the output."""


IMAGES = base.Protocol(
    name="openai",
    route="images",
    path="/images/generations",
    limit_fields=(),
    limit_name="size",
    input_field="prompt",
    meter=ImagesMeter,
    delivery=Delivery,
    check=check,
    measure=measured,
    adapt=adapt,
    writes_cache=lambda _body: False,
)
