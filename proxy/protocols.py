"""What differs between the protocols the proxy speaks. Everything else is the same code."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from common.errors import BadInput
from proxy.meter import AnthropicMeter, Meter, OpenAIMeter

# Fields by which a client would make the provider ask more than the price list says, or run
# something at the provider's that is not priced by tokens.
_COSTLY = {
    "openai": {"web_search_options", "audio"},
    "anthropic": {"container", "mcp_servers", "speed", "inference_geo"},
}
_TIERS = {None, "auto", "default", "standard_only"}
# Tools that run at the client's own side; every other type that is not plain runs at Anthropic's.
_CLIENT_TOOLS = ("custom", "bash_", "text_editor_", "computer_", "memory_")


@dataclass(frozen=True)
class Protocol:
    """``limit_fields`` name the output bound; of several that are given the largest counts.

    ``writes_cache`` tells whether a request (its compact JSON) may write the provider's cache.
    """

    name: str
    path: str
    limit_fields: tuple[str, ...]
    limit_required: bool
    meter: Callable[..., Meter]
    id_header: bytes
    writes_cache: Callable[[bytes], bool]
    adapt: Callable[[dict[str, Any], int | None], None]
    check: Callable[[Mapping[str, Any]], None]


def _adapt_openai(body: dict[str, Any], clamp: int | None) -> None:
    """Ask for usage at the end of a stream; bound the output when the wallet needs it."""
    if body.get("stream"):
        options = body.get("stream_options")
        body["stream_options"] = {**(options or {}), "include_usage": True}
    if clamp is not None:
        body["max_completion_tokens"] = clamp


def _adapt_anthropic(body: dict[str, Any], clamp: int | None) -> None:
    """Nothing: usage comes unasked, and the client had to give ``max_tokens``."""


def _check_costly(protocol: str, body: Mapping[str, Any]) -> None:
    for name in sorted(_COSTLY[protocol] & body.keys()):
        if body[name] is not None:
            raise BadInput(f"{name}: is not priced here and can't be used.", param=name)
    tier = body.get("service_tier")
    if not isinstance(tier, str | None) or tier not in _TIERS:
        raise BadInput("service_tier: only the default tier is priced here.", param="service_tier")


def _check_openai(body: Mapping[str, Any]) -> None:
    _check_costly("openai", body)
    modalities = body.get("modalities")
    if modalities is not None and modalities != ["text"]:
        raise BadInput("modalities: only text is priced here.", param="modalities")
    options = body.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise BadInput("stream_options: must be an object.", param="stream_options")
    if options and not isinstance(options.get("include_usage"), bool | None):
        field = "stream_options.include_usage"
        raise BadInput(f"{field}: must be true or false.", param=field)


def _check_anthropic(body: Mapping[str, Any]) -> None:
    _check_costly("anthropic", body)
    for place, tool in enumerate(body.get("tools") or []):
        kind = tool.get("type") if isinstance(tool, dict) else None
        if isinstance(kind, str) and not kind.startswith(_CLIENT_TOOLS):
            raise BadInput(
                f"tools[{place}].type: {kind[:50]} runs at the provider's and is not priced here.",
                param=f"tools[{place}].type",
            )


OPENAI = Protocol(
    name="openai",
    path="/chat/completions",
    limit_fields=("max_completion_tokens", "max_tokens"),
    limit_required=False,
    meter=OpenAIMeter,
    id_header=b"x-request-id",
    writes_cache=lambda _body: True,  # unasked, wherever a prompt is long enough
    adapt=_adapt_openai,
    check=_check_openai,
)
ANTHROPIC = Protocol(
    name="anthropic",
    path="/v1/messages",
    limit_fields=("max_tokens",),
    limit_required=True,
    meter=AnthropicMeter,
    id_header=b"request-id",
    writes_cache=lambda body: b"cache_control" in body,
    adapt=_adapt_anthropic,
    check=_check_anthropic,
)
