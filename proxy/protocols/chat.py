"""OpenAI's chat completions, which most other providers answer too."""

from collections.abc import Mapping
from typing import Any

from common.errors import BadInput
from proxy.bounds import Measured, measure, openai_image
from proxy.delivery import Delivery
from proxy.meter import ChatMeter
from proxy.protocols import base

# Search and speech, priced by other things than tokens; and the fields by which OpenAI-compatible
# providers take another model, provider or stored text than the one that is priced.
_COSTLY = {
    "web_search_options", "audio", "models", "route", "provider", "plugins", "preset",
    "extra_body", "cached_content",
}  # fmt: skip
_TOOLS = {"function", "custom"}


def check(body: Mapping[str, Any]) -> None:
    base.check_messages(body)
    base.refuse_fields(body, _COSTLY)
    base.check_tier(body)
    base.check_cache_options(body)
    modalities = body.get("modalities")
    if modalities is not None and modalities != ["text"]:
        raise BadInput("modalities: only text is priced here.", param="modalities")
    base.check_flag(body, "stream_options", "include_usage")
    for place, tool in enumerate(base.tools_of(body)):
        kind = tool.get("type") if isinstance(tool, dict) else None
        if isinstance(kind, str) and kind not in _TOOLS:
            raise base.refuse_tool(kind, f"tools[{place}].type")


def measured(body: Mapping[str, Any], size: int, window: int | None, model: str = "") -> Measured:
    return measure([body.get("messages")], size, window, image=openai_image(model))


def adapt(body: dict[str, Any], clamp: int | None) -> None:
    """Ask for usage at the end of a stream; bound the output when the wallet needs it."""
    if body.get("stream"):
        options = body.get("stream_options")
        body["stream_options"] = {**(options or {}), "include_usage": True}
    if clamp is not None:
        body["max_completion_tokens"] = clamp


CHAT = base.Protocol(
    name="openai",
    route="chat",
    path="/chat/completions",
    limit_fields=("max_completion_tokens", "max_tokens"),
    meter=ChatMeter,
    delivery=Delivery,
    check=check,
    measure=measured,
    adapt=adapt,
    writes_cache=lambda _body: True,  # unasked, wherever a prompt is long enough
)
