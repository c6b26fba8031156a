"""OpenAI's embeddings as bytes: what it checks, and its answers. No I/O."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .behaviour import Behaviour
from .openai_shapes import check_key, dump, error, error_event
from .script import Ask, Frame, Plan, Refused

__all__ = ["check_key", "error", "error_event", "plan", "read"]

_DIMENSIONS = 8


def read(body: bytes, headers: Mapping[str, str]) -> Ask:
    """Parse a request for embeddings; raise `Refused` where OpenAI answers 400."""
    try:
        asked = json.loads(body)
    except ValueError:
        asked = None
    if not isinstance(asked, dict) or not isinstance(asked.get("model"), str):
        raise Refused(400, "you must provide a model parameter")
    given = asked.get("input")
    if not isinstance(given, str | list) or not given:
        raise Refused(400, "'$.input' is invalid.", param="input")
    single = isinstance(given, str) or isinstance(given[0], int)
    return Ask(
        protocol="openai",
        model=asked["model"],
        stream=False,
        limit=asked.get("dimensions"),
        choices=1 if single else len(given),
        include_usage=asked.get("encoding_format") == "base64",
        tools=(),
        words=given if isinstance(given, str) else "",
    )


def plan(ask: Ask, behaviour: Behaviour, number: int) -> Plan:
    """Vectors of ever the same numbers, `ask.limit` long; base64 where `ask.include_usage`."""
    size = ask.limit or _DIMENSIONS
    data = [
        {"object": "embedding", "index": i, "embedding": _vector(i, size, ask.include_usage)}
        for i in range(ask.choices)
    ]
    answer: dict[str, Any] = {"object": "list", "data": data, "model": ask.model}
    tokens = behaviour.usage.all_input
    if behaviour.report_usage:
        answer["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
    return Plan([Frame(dump(answer))], behaviour, usage=replace(behaviour.usage, output=0))


def _vector(index: int, size: int, packed: bool) -> Any:
    values = [(index + 1) / (place + 1) for place in range(size)]
    if not packed:
        return values
    return base64.b64encode(struct.pack(f"<{size}f", *values)).decode()
