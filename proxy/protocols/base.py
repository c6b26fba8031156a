"""What a protocol is, and the checks that several share."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from common.errors import BadInput
from proxy.bounds import Measured
from proxy.delivery import Delivery
from proxy.meter import Meter

_TIERS = {None, "auto", "default", "standard_only"}


@dataclass(frozen=True)
class Protocol:
    """One way to ask a provider and to be answered.

    ``name`` is whose protocol it is ("openai" or "anthropic"), which decides the models that
    answer in it; ``route`` is this protocol's own name, kept with the call; ``path`` follows a
    provider's base address. ``limit_fields`` name the output bound; of several that are given the
    largest counts. ``limit_name`` is what a refusal calls that bound. ``bounded``: a request
    always names its bound to the provider. ``generates``: there is output, which may be streamed.
    ``switches``: headers of the client's that change what a request means go on to the provider.

    ``input_field`` is where most of the input is.

    ``check`` refuses what can't be priced, ``measure`` (body, bytes, context window, the name of
    one of OpenAI's own models or nothing) bounds the input, ``adapt`` (body, output bound or
    ``None``) makes the request the provider gets, and ``writes_cache`` tells whether a request
    (its compact JSON) may write the provider's cache. ``encode`` writes the request, and
    ``content_type`` is what that is where it is no JSON.
    """

    name: str
    route: str
    path: str
    limit_fields: tuple[str, ...]
    meter: Callable[..., Meter]
    delivery: type[Delivery]
    check: Callable[[Mapping[str, Any]], None]
    measure: Callable[[Mapping[str, Any], int, int | None, str], Measured]
    adapt: Callable[[dict[str, Any], int | None], None]
    writes_cache: Callable[[bytes], bool]
    limit_name: str = "max_tokens"
    input_field: str = "messages"
    limit_required: bool = False
    switches: bool = True
    bounded: bool = False
    generates: bool = True
    encode: Callable[[Mapping[str, Any]], bytes] = orjson.dumps
    content_type: str = ""

    @property
    def shape(self) -> str:
        """Whose shape errors and the request's id have: "openai" or "anthropic"."""
        return self.delivery.shape or self.name


def refuse_fields(body: Mapping[str, Any], names: Collection[str]) -> None:
    """Refuse fields that make the provider ask more than the price list says, or run something of
    its own that is not priced by tokens."""
    for name in sorted(names & body.keys()):
        if body[name] is not None and body[name] is not False:
            raise BadInput(f"{name}: is not priced here and can't be used.", param=name)


def check_tier(body: Mapping[str, Any]) -> None:
    tier = body.get("service_tier")
    if not isinstance(tier, str | None) or tier not in _TIERS:
        raise BadInput("service_tier: only the default tier is priced here.", param="service_tier")


def check_messages(body: Mapping[str, Any]) -> None:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadInput("messages: must be a list with at least one message.", param="messages")
    if not all(isinstance(message, dict) for message in messages):
        raise BadInput("messages: each must be an object.", param="messages")


def check_flag(body: Mapping[str, Any], name: str, inner: str) -> None:
    """``name`` may be an object, whose ``inner`` may be true or false."""
    options = body.get(name)
    if options is not None and not isinstance(options, dict):
        raise BadInput(f"{name}: must be an object.", param=name)
    if options and not isinstance(options.get(inner), bool | None):
        field = f"{name}.{inner}"
        raise BadInput(f"{field}: must be true or false.", param=field)


def tools_of(body: Mapping[str, Any], field: str = "tools") -> list[Any]:
    tools = body.get("tools")
    if tools is not None and not isinstance(tools, list):
        raise BadInput(f"{field}: must be a list.", param=field)
    return tools or []


def refuse_tool(kind: str, field: str) -> BadInput:
    return BadInput(
        f"{field}: {kind[:50]} runs at the provider's and is not priced here.", param=field
    )


def check_cache_options(body: Mapping[str, Any]) -> None:
    """Refuse a longer life of OpenAI's cache than its price list knows a price for."""
    options = body.get("prompt_cache_options")
    if options is not None and not isinstance(options, dict):
        raise BadInput("prompt_cache_options: must be an object.", param="prompt_cache_options")
    if options and options.get("ttl") not in {None, "30m"}:
        field = "prompt_cache_options.ttl"
        raise BadInput(f"{field}: only 30m is priced here.", param=field)
