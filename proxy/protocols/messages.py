"""Anthropic's messages."""

from collections.abc import Mapping
from typing import Any

from common.errors import BadInput
from proxy.bounds import ANTHROPIC_IMAGE_TOKENS, Measured, measure
from proxy.delivery import Delivery
from proxy.meter import MessagesMeter
from proxy.protocols import base

_COSTLY = {"container", "mcp_servers", "speed", "inference_geo"}
# Tools that run at the client's own side; every other type that is not plain runs at Anthropic's.
_CLIENT_TOOLS = ("custom", "bash_2", "text_editor_2", "computer_", "memory_2")


def check(body: Mapping[str, Any]) -> None:
    base.check_messages(body)
    base.refuse_fields(body, _COSTLY)
    base.check_tier(body)
    for place, tool in enumerate(base.tools_of(body)):
        kind = tool.get("type") if isinstance(tool, dict) else None
        if isinstance(kind, str) and not kind.startswith(_CLIENT_TOOLS):
            raise base.refuse_tool(kind, f"tools[{place}].type")
    _check_context(body.get("context_management"))


def _check_context(management: Any) -> None:
    """Refuse compaction: the tokens it takes are not in the answer's own counts of usage."""
    field = "context_management"
    if management is not None and not isinstance(management, dict):
        raise BadInput(f"{field}: must be an object.", param=field)
    edits = (management or {}).get("edits")
    for place, edit in enumerate(edits if isinstance(edits, list) else []):
        kind = edit.get("type") if isinstance(edit, dict) else None
        if isinstance(kind, str) and kind.startswith("compact"):
            raise base.refuse_tool(kind, f"{field}.edits[{place}].type")


def measured(body: Mapping[str, Any], size: int, window: int | None, model: str = "") -> Measured:
    parts = [body.get("messages"), body.get("system")]
    return measure(parts, size, window, image=(ANTHROPIC_IMAGE_TOKENS, ANTHROPIC_IMAGE_TOKENS))


def adapt(body: dict[str, Any], clamp: int | None) -> None:
    """Usage comes unasked; the bound is the client's own unless it gave none."""
    if clamp is not None:
        body["max_tokens"] = clamp


MESSAGES = base.Protocol(
    name="anthropic",
    route="messages",
    path="/v1/messages",
    limit_fields=("max_tokens",),
    limit_required=True,
    meter=MessagesMeter,
    delivery=Delivery,
    check=check,
    measure=measured,
    adapt=adapt,
    writes_cache=lambda body: b"cache_control" in body,
)
