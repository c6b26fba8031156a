"""OpenAI's Responses."""

from collections.abc import Mapping
from typing import Any

from common.errors import BadInput
from proxy.bounds import Measured, measure, openai_image
from proxy.delivery import ResponsesDelivery
from proxy.meter import ResponsesMeter
from proxy.protocols import base

# What the provider has stored is input whose size nobody here knows.
_STORED = {"previous_response_id", "conversation", "prompt"}
# An answer fetched later is out of the meter's sight; compaction takes tokens beyond the bound;
# the others choose another model, as providers that are OpenAI-compatible let one.
_COSTLY = {
    "background", "context_management", "models", "route", "provider", "plugins", "preset",
    "extra_body",
}  # fmt: skip
# Tools that run at the client's own side.
_CLIENT_TOOLS = {"function", "custom", "local_shell", "apply_patch"}
_STORED_ITEMS = {"item_reference", "compaction_trigger"}


def check(body: Mapping[str, Any]) -> None:
    for name in sorted(_STORED & body.keys()):
        if body[name] is not None:
            raise BadInput(
                f"{name}: what the provider has stored can't be priced before it is read; send "
                "the whole input.",
                param=name,
            )
    base.refuse_fields(body, _COSTLY)
    base.check_tier(body)
    base.check_cache_options(body)
    base.check_flag(body, "stream_options", "include_obfuscation")
    _check_tools(base.tools_of(body), "tools")
    _check_input(body.get("input"))


def _check_input(given: Any) -> None:
    if isinstance(given, str) and given:
        return
    if not isinstance(given, list) or not given:
        raise BadInput("input: must be text, or a list with at least one item.", param="input")
    for place, item in enumerate(given):
        field = f"input[{place}]"
        if not isinstance(item, dict):
            raise BadInput(f"{field}: must be an object.", param=field)
        kind = item.get("type")
        if isinstance(kind, str) and kind in _STORED_ITEMS:
            raise BadInput(
                f"{field}.type: {kind} is not priced here and can't be used.", param=f"{field}.type"
            )
        _check_tools(base.tools_of(item, f"{field}.tools"), f"{field}.tools")


def _check_tools(tools: list[Any], field: str) -> None:
    for place, tool in enumerate(tools):
        if not isinstance(tool, dict):
            raise BadInput(f"{field}[{place}]: must be an object.", param=f"{field}[{place}]")
        kind = tool.get("type")
        if kind == "namespace":
            inner = f"{field}[{place}].tools"
            _check_tools(base.tools_of(tool, inner), inner)
        elif isinstance(kind, str) and kind not in _CLIENT_TOOLS and not _is_local(tool):
            raise base.refuse_tool(kind, f"{field}[{place}].type")


def _is_local(tool: Mapping[str, Any]) -> bool:
    """Whether a tool that may run at either side is asked to run at the client's."""
    if tool["type"] == "shell":
        environment = tool.get("environment")
        return isinstance(environment, dict) and environment.get("type") == "local"
    return tool["type"] == "tool_search" and tool.get("execution") == "client"


def measured(body: Mapping[str, Any], size: int, window: int | None, model: str = "") -> Measured:
    return measure([body.get("input")], size, window, image=openai_image(model))


def adapt(body: dict[str, Any], clamp: int | None) -> None:
    """Usage comes unasked; the output is bounded when the wallet needs it."""
    if clamp is not None:
        body["max_output_tokens"] = clamp


RESPONSES = base.Protocol(
    name="openai",
    route="responses",
    path="/responses",
    limit_fields=("max_output_tokens",),
    limit_name="max_output_tokens",
    input_field="input",
    meter=ResponsesMeter,
    delivery=ResponsesDelivery,
    check=check,
    measure=measured,
    adapt=adapt,
    writes_cache=lambda _body: True,  # unasked, wherever a prompt is long enough
)
