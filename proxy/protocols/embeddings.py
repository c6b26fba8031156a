"""OpenAI's embeddings: an input, and no output to hold for."""

from collections.abc import Mapping
from typing import Any

from common.errors import BadInput
from proxy.bounds import Measured, measure_embeddings
from proxy.delivery import Delivery
from proxy.meter import EmbeddingsMeter
from proxy.protocols import base

_MOST_INPUTS = 2_048  # OpenAI's own bound
_COSTLY = {"models", "route", "provider", "extra_body"}


def check(body: Mapping[str, Any]) -> None:
    base.refuse_fields(body, _COSTLY)
    if body.get("stream"):
        raise BadInput("stream: embeddings are not streamed.", param="stream")
    given = body.get("input")
    if isinstance(given, str) and given:
        return
    if not isinstance(given, list) or not given:
        raise BadInput("input: must be text, tokens, or a list of either.", param="input")
    if _is_tokens(given):
        return
    if len(given) > _MOST_INPUTS:
        raise BadInput(f"input: must have at most {_MOST_INPUTS} entries.", param="input")
    for place, one in enumerate(given):
        if not one or not (isinstance(one, str) or (isinstance(one, list) and _is_tokens(one))):
            raise BadInput(f"input[{place}]: must be text or tokens.", param=f"input[{place}]")


def _is_tokens(value: list[Any]) -> bool:
    return all(type(token) is int for token in value)


def measured(body: Mapping[str, Any], size: int, window: int | None, model: str = "") -> Measured:
    return measure_embeddings(body["input"], window)


def adapt(body: dict[str, Any], clamp: int | None) -> None:
    """Nothing: there is no output to bound."""


EMBEDDINGS = base.Protocol(
    name="openai",
    route="embeddings",
    path="/embeddings",
    limit_fields=(),
    limit_name="input",
    input_field="input",
    meter=EmbeddingsMeter,
    delivery=Delivery,
    check=check,
    measure=measured,
    adapt=adapt,
    writes_cache=lambda _body: False,
    generates=False,
)
