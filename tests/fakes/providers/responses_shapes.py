"""OpenAI's Responses as bytes: what it checks, its answers, events and errors. No I/O."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from .behaviour import Behaviour, Usage
from .openai_shapes import check_key, dump, error
from .script import Ask, Frame, Piece, Plan, Refused, Script, compose

__all__ = ["check_key", "error", "error_event", "plan", "read"]


def read(body: bytes, headers: Mapping[str, str]) -> Ask:
    """Parse a request for a response; raise `Refused` where OpenAI answers 400."""
    try:
        asked = json.loads(body)
    except ValueError:
        asked = None
    if not isinstance(asked, dict):
        raise Refused(400, "We could not parse the JSON body of your request.")
    if not isinstance(asked.get("model"), str):
        missing = "Missing required parameter: 'model'."
        raise Refused(400, missing, code="missing_required_parameter", param="model")
    if not isinstance(asked.get("input"), str | list):
        missing = "Missing required parameter: 'input'."
        raise Refused(400, missing, code="missing_required_parameter", param="input")
    for name in ("messages", "max_tokens", "max_completion_tokens", "n"):
        if name in asked:
            raise Refused(
                400, f"Unknown parameter: '{name}'.", code="unknown_parameter", param=name
            )
    options = asked.get("stream_options")
    if options is not None and "include_usage" in options:
        wrong = "Unknown parameter: 'stream_options.include_usage'."
        raise Refused(400, wrong, code="unknown_parameter", param="stream_options.include_usage")
    limit = asked.get("max_output_tokens")
    if limit is not None and (type(limit) is not int or limit < 16):
        wrong = "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16."
        raise Refused(400, wrong, code="integer_below_min_value", param="max_output_tokens")
    tools = tuple(
        tool["name"]
        for tool in asked.get("tools") or ()
        if isinstance(tool, dict) and tool.get("type") == "function"
    )
    return Ask(
        protocol="openai",
        model=asked["model"],
        stream=asked.get("stream") is True,
        limit=limit,
        choices=1,
        include_usage=True,
        tools=tools,
        words=_last_words(asked["input"]),
    )


def _last_words(given: Any) -> str:
    if isinstance(given, str):
        return given
    for item in reversed(given):
        if isinstance(item, dict) and item.get("role") == "user":
            content = item.get("content")
            if isinstance(content, str):
                return content
            parts = [p.get("text", "") for p in content or () if isinstance(p, dict)]
            return " ".join(part for part in parts if isinstance(part, str))
    return ""


def plan(ask: Ask, behaviour: Behaviour, number: int) -> Plan:
    """The whole answer, streamed or plain; `number` makes its id."""
    script = compose(behaviour, ask)
    begun = _response(ask, number)
    ended = begun | {
        "status": "incomplete" if script.ended == "length" else "completed",
        "output": [_item(blocks, number, done=True) for blocks in script.joined()],
    }
    if script.ended == "length":
        ended["incomplete_details"] = {"reason": "max_output_tokens"}
    if behaviour.report_usage:
        ended["usage"] = usage_shape(script.usage)
    if not ask.stream:
        return Plan([Frame(dump(ended), script.usage.output or 0)], behaviour, usage=script.usage)
    made = Plan(
        _frames(begun, ended, script, behaviour, number),
        behaviour,
        streamed=True,
        content_type="text/event-stream; charset=utf-8",
        usage=script.usage,
    )
    made.ping_frame = b": ping\n\n"
    made.open_line = (
        b"event: response.output_text.delta\n"
        b'data: {"type":"response.output_text.delta","sequence_number":4,"delta":"'
    )
    return made


class _Events:
    """Numbers the events of a stream."""

    def __init__(self) -> None:
        self.number = -1

    def __call__(self, type: str, **values: Any) -> bytes:
        self.number += 1
        return _event(type, {"type": type, "sequence_number": self.number} | values)


def _frames(
    begun: dict[str, Any],
    ended: dict[str, Any],
    script: Script,
    behaviour: Behaviour,
    number: int,
) -> list[Frame]:
    event = _Events()
    frames = [
        Frame(event("response.created", response=begun), script.hidden),
        Frame(event("response.in_progress", response=begun)),
    ]
    whole = {piece.block: piece for piece in script.joined()}
    places = {block: place for place, block in enumerate(whole)}
    block = -1
    for count, piece in enumerate(script.pieces, start=1):
        if piece.block != block:
            if block >= 0:
                frames += _closed(event, whole[block], places[block], number)
            block = piece.block
            frames += _opened(event, piece, places[block], number)
        at = {"item_id": _item_id(piece, number), "output_index": places[block]}
        if piece.kind == "text":
            at |= {"content_index": 0, "logprobs": [], "obfuscation": "dK3"}
            kind = "response.output_text.delta"
        else:
            kind = "response.function_call_arguments.delta"
        delta = event(kind, delta=piece.text, **at)
        frames.append(Frame(delta, piece.tokens, content=True))
        if behaviour.ping_every and count % behaviour.ping_every == 0:
            frames.append(Frame(b": ping\n\n"))
    if block >= 0:
        frames += _closed(event, whole[block], places[block], number)
    return [*frames, Frame(event(f"response.{ended['status']}", response=ended))]


def _opened(event: _Events, piece: Piece, place: int, number: int) -> list[Frame]:
    item = _item(piece, number, done=False)
    frames = [Frame(event("response.output_item.added", output_index=place, item=item))]
    if piece.kind == "text":
        at = {"item_id": item["id"], "output_index": place, "content_index": 0}
        frames.append(Frame(event("response.content_part.added", part=_part(""), **at)))
    return frames


def _closed(event: _Events, piece: Piece, place: int, number: int) -> list[Frame]:
    item = _item(piece, number, done=True)
    at: dict[str, Any] = {"item_id": item["id"], "output_index": place}
    if piece.kind == "text":
        at["content_index"] = 0
        done = [
            event("response.output_text.done", text=piece.text, logprobs=[], **at),
            event("response.content_part.done", part=_part(piece.text), **at),
        ]
    else:
        done = [event("response.function_call_arguments.done", arguments=piece.text, **at)]
    done.append(event("response.output_item.done", output_index=place, item=item))
    return [Frame(data) for data in done]


def _item_id(piece: Piece, number: int) -> str:
    return f"{'msg' if piece.kind == 'text' else 'fc'}_{number:024d}{piece.block:02d}"


def _item(piece: Piece, number: int, *, done: bool) -> dict[str, Any]:
    item: dict[str, Any] = {
        "id": _item_id(piece, number),
        "status": "completed" if done else "in_progress",
    }
    if piece.kind == "text":
        content = [_part(piece.text)] if done else []
        return item | {"type": "message", "role": "assistant", "content": content}
    return item | {
        "type": "function_call",
        "call_id": f"call_{piece.block:024d}",
        "name": piece.tool,
        "arguments": piece.text if done else "",
    }


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def _response(ask: Ask, number: int) -> dict[str, Any]:
    return {
        "id": f"resp_{number:024d}",
        "object": "response",
        "created_at": int(time.time()),
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": ask.limit,
        "model": ask.model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        "user": None,
        "metadata": {},
    }


def usage_shape(usage: Usage) -> dict[str, Any]:
    """The `usage` object: here the input includes what was cached."""
    output = usage.output or 0
    details: dict[str, int] = {"cached_tokens": usage.cached}
    if usage.cache_write:
        details["cache_write_tokens"] = usage.cache_write
    return {
        "input_tokens": usage.all_input,
        "input_tokens_details": details,
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.all_input + output,
    }


def error_event(refused: Refused) -> bytes:
    """An error in a stream: the event, and the response's end."""
    told = error(refused)["error"]
    code = "rate_limit_exceeded" if refused.status == 429 else "server_error"
    failed = {
        "id": "resp_failed",
        "object": "response",
        "status": "failed",
        "error": {"code": code, "message": told["message"]},
        "output": [],
        "usage": None,
    }
    first = {"type": "error", "sequence_number": 90, "error": told}
    last = {"type": "response.failed", "sequence_number": 91, "response": failed}
    return _event("error", first) + _event("response.failed", last)


def _event(name: str, value: Any) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + dump(value) + b"\n\n"
