"""Anthropic's messages as bytes: what it checks, its answers, events and errors. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .behaviour import Behaviour, Usage
from .openai_shapes import dump, last_words
from .script import Ask, Frame, Piece, Plan, Refused, Script, compose

_KINDS = {
    400: ("invalid_request_error", "The request was invalid."),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "Your credit balance is too low to access the Anthropic API."),
    403: ("permission_error", "Your API key does not have permission to use this resource."),
    404: ("not_found_error", "The requested resource was not found."),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: ("rate_limit_error", "This request would exceed your rate limit."),
    504: ("timeout_error", "The request timed out."),
    529: ("overloaded_error", "Overloaded"),
}
VERSIONS = ("2023-01-01", "2023-06-01", "2026-10-21")
_STOP = {"stop": "end_turn", "length": "max_tokens", "tool": "tool_use"}
_PING = b'event: ping\ndata: {"type":"ping"}\n\n'


def check_key(headers: Mapping[str, str], key: str) -> None:
    """Refuse a missing or a wrong key, and a request that names no version or an unknown one.

    The key comes as `x-api-key`, or, from SDKs of 2026-10-21 on, as a bearer token. Where both
    are given both must be right, so that a stray credential of another kind does not go unseen.
    """
    given = [headers["x-api-key"]] if "x-api-key" in headers else []
    if "authorization" in headers:
        given.append(headers["authorization"].removeprefix("Bearer "))
    if not given:
        raise Refused(401, "x-api-key header is required")
    if any(one != key for one in given):
        raise Refused(401, "invalid x-api-key")
    if "anthropic-version" not in headers:
        raise Refused(400, "anthropic-version: header is required")
    version = headers["anthropic-version"]
    if version not in VERSIONS:
        raise Refused(400, f'anthropic-version: "{version}" is not a valid version')


def read(body: bytes, headers: Mapping[str, str]) -> Ask:
    """Parse a messages request; raise `Refused` where Anthropic answers 400."""
    try:
        asked = json.loads(body)
    except ValueError as error:
        raise Refused(400, f"The request body is not valid JSON: {error}") from None
    if not isinstance(asked, dict):
        raise Refused(400, "Input should be a valid dictionary")
    for name, kind in (("model", str), ("max_tokens", int), ("messages", list)):
        if name not in asked:
            raise Refused(400, f"{name}: Field required")
        if type(asked[name]) is not kind:
            raise Refused(400, f"{name}: Input should be a valid {kind.__name__}")
    if asked["max_tokens"] < 1:
        raise Refused(400, "max_tokens: Input should be greater than or equal to 1")
    extra = ["stream_options"]
    if headers["anthropic-version"] >= "2026-10-21":
        # https://platform.claude.com/docs/en/api/migration-2026-10-21
        extra += ["temperature", "top_p", "top_k"]
    for name in extra:
        if name in asked:
            raise Refused(400, f"{name}: Extra inputs are not permitted")
    return Ask(
        protocol="anthropic",
        model=asked["model"],
        stream=asked.get("stream") is True,
        limit=asked["max_tokens"],
        choices=1,
        include_usage=True,
        tools=tuple(t["name"] for t in asked.get("tools") or () if isinstance(t, dict)),
        words=last_words(asked["messages"]),
    )


def read_count(body: bytes) -> str:
    """The model of a request to count tokens; raise `Refused` where Anthropic answers 400."""
    try:
        asked = json.loads(body)
    except ValueError as error:
        raise Refused(400, f"The request body is not valid JSON: {error}") from None
    for name, kind in (("model", str), ("messages", list)):
        if name not in asked:
            raise Refused(400, f"{name}: Field required")
        if type(asked[name]) is not kind:
            raise Refused(400, f"{name}: Input should be a valid {kind.__name__}")
    for name in ("max_tokens", "stream"):
        if name in asked:
            raise Refused(400, f"{name}: Extra inputs are not permitted")
    return str(asked["model"])


def plan(ask: Ask, behaviour: Behaviour, number: int) -> Plan:
    """The whole answer, streamed or plain; `number` makes its id."""
    script = compose(behaviour, ask)
    message: dict[str, Any] = {
        "id": f"msg_{number:024d}",
        "type": "message",
        "role": "assistant",
        "model": ask.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }
    if not ask.stream:
        message["content"] = [_block(piece, whole=True) for piece in script.joined()]
        message["stop_reason"] = _STOP[script.ended]
        if behaviour.report_usage:
            message["usage"] = usage_shape(script.usage)
        return Plan([Frame(dump(message), script.usage.output or 0)], behaviour, usage=script.usage)
    made = Plan(
        _frames(message, script, behaviour),
        behaviour,
        streamed=True,
        content_type="text/event-stream; charset=utf-8",
        usage=script.usage,
    )
    made.ping_frame = _PING
    made.open_line = (
        b"event: content_block_delta\n"
        b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"'
    )
    return made


def _frames(message: dict[str, Any], script: Script, behaviour: Behaviour) -> list[Frame]:
    # Like the real one, the first event already counts a token, if there is any to count.
    early = 1 if not script.hidden and script.usage.output else 0
    if behaviour.report_usage:
        so_far = replace(script.usage, output=script.hidden + early, reasoning=0)
        message = message | {"usage": usage_shape(so_far)}
    frames = [Frame(_event("message_start", message=message), script.hidden + early)]
    block, index, pinged = -1, -1, False
    for number, piece in enumerate(script.pieces):
        if piece.block != block:
            if index >= 0:
                frames += _block_end(script.pieces[number - 1], index)
            block, index = piece.block, index + 1
            frames.append(
                Frame(_event("content_block_start", index=index, content_block=_block(piece)))
            )
            if not pinged:
                frames.append(Frame(_PING))
                pinged = True
        tokens = piece.tokens
        if early and tokens:
            tokens, early = tokens - 1, 0
        delta = _event("content_block_delta", index=index, delta=_delta(piece))
        frames.append(Frame(delta, tokens, content=True))
        if behaviour.ping_every and (number + 1) % behaviour.ping_every == 0:
            frames.append(Frame(_PING))
    if script.pieces:
        frames += _block_end(script.pieces[-1], index)
    last: dict[str, Any] = {"delta": {"stop_reason": _STOP[script.ended], "stop_sequence": None}}
    if behaviour.report_usage:
        usage = usage_shape(script.usage)
        last["usage"] = {n: usage[n] for n in usage if n not in ("cache_creation", "service_tier")}
    return [*frames, Frame(_event("message_delta", **last)), Frame(_event("message_stop"))]


def _block(piece: Piece, *, whole: bool = False) -> dict[str, Any]:
    text = piece.text if whole else ""
    if piece.kind == "text":
        return {"type": "text", "text": text}
    if piece.kind == "thinking":
        return {"type": "thinking", "thinking": text, "signature": "c2ln" if whole else ""}
    arguments: Any = {}
    if whole:
        try:
            arguments = json.loads(piece.text)
        except ValueError:  # cut by max_tokens
            arguments = {}
    return {
        "type": "tool_use",
        "id": f"toolu_{piece.block:024d}",
        "name": piece.tool,
        "input": arguments,
    }


def _delta(piece: Piece) -> dict[str, str]:
    if piece.kind == "text":
        return {"type": "text_delta", "text": piece.text}
    if piece.kind == "thinking":
        return {"type": "thinking_delta", "thinking": piece.text}
    return {"type": "input_json_delta", "partial_json": piece.text}


def _block_end(piece: Piece, index: int) -> list[Frame]:
    frames = []
    if piece.kind == "thinking":
        signature = {"type": "signature_delta", "signature": "c2ln"}
        frames.append(Frame(_event("content_block_delta", index=index, delta=signature)))
    return [*frames, Frame(_event("content_block_stop", index=index))]


def usage_shape(usage: Usage) -> dict[str, Any]:
    """The `usage` object: here what was cached is counted beside the input."""
    shape: dict[str, Any] = {
        "input_tokens": usage.input,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cached,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_5m,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        },
        "output_tokens": usage.output or 0,
        "service_tier": "standard",
    }
    if usage.reasoning:
        shape["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return shape


def error(refused: Refused) -> dict[str, Any]:
    """The body of an error answer."""
    kind, message = _KINDS.get(refused.status, ("api_error", "Internal server error"))
    return {
        "type": "error",
        "error": {"type": refused.kind or kind, "message": refused.message or message},
        "request_id": "req_000000000000000000000000",
    }


def error_event(refused: Refused) -> bytes:
    """The same as an event of a stream."""
    return _event(**error(refused))


def models(names: tuple[str, ...]) -> dict[str, Any]:
    """The list of models, as one page."""
    return {
        "data": [model(name) for name in names],
        "has_more": False,
        "first_id": names[0] if names else None,
        "last_id": names[-1] if names else None,
    }


def model(name: str) -> dict[str, Any]:
    """One model of that list."""
    return {
        "type": "model",
        "id": name,
        "display_name": name.replace("-", " ").title(),
        "created_at": "2025-02-19T00:00:00Z",
        "lifecycle": "active",
    }


def _event(type: str, **values: Any) -> bytes:
    return b"event: " + type.encode() + b"\ndata: " + dump({"type": type} | values) + b"\n\n"
