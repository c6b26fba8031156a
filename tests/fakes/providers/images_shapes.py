"""OpenAI's generated images as bytes: what it checks, and its answers. No I/O."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .behaviour import Behaviour
from .openai_shapes import check_key, dump, error, error_event
from .script import Ask, Frame, Plan, Refused

__all__ = ["check_key", "error", "error_event", "plan", "read"]

# Of each image, if a behaviour's usage names no output: one of 1024x1024 in low quality.
_TOKENS = 272
_PNG = b"\x89PNG\r\n\x1a\n" + bytes(1_000)


def read(body: bytes, headers: Mapping[str, str]) -> Ask:
    """Parse a request for images; raise `Refused` where OpenAI answers 400."""
    try:
        asked = json.loads(body)
    except ValueError:
        asked = None
    if not isinstance(asked, dict) or not isinstance(asked.get("prompt"), str):
        raise Refused(400, "Missing required parameter: 'prompt'.", param="prompt")
    return Ask(
        protocol="openai",
        model=asked.get("model", "dall-e-2"),
        stream=False,
        limit=None,
        choices=asked.get("n") or 1,
        include_usage=True,
        tools=(),
        words=asked["prompt"],
    )


def plan(ask: Ask, behaviour: Behaviour, number: int) -> Plan:
    """Ever the same picture."""
    usage = behaviour.usage
    made = _TOKENS * ask.choices if usage.output is None else usage.output
    image = {"b64_json": base64.b64encode(_PNG).decode()}
    answer: dict[str, Any] = {"created": 1, "data": [image] * ask.choices}
    if behaviour.report_usage:
        answer["usage"] = {
            "input_tokens": usage.all_input,
            "input_tokens_details": {"text_tokens": usage.all_input, "image_tokens": 0},
            "output_tokens": made,
            "total_tokens": usage.all_input + made,
        }
    return Plan([Frame(dump(answer), made)], behaviour, usage=replace(usage, output=made))
