"""OpenAI's chat completions as bytes: what it checks, its answers, chunks and errors. No I/O."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .behaviour import Behaviour, Usage
from .script import Ask, Frame, Plan, Refused, Script, compose

_KINDS = {
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("request_forbidden", "unsupported_country_region_territory"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}
_MESSAGES = {
    400: "The request could not be understood.",
    403: "Country, region, or territory not supported",
    404: "The model does not exist or you do not have access to it.",
    429: "Rate limit reached for requests. Please try again in 20s.",
    500: "The server had an error while processing your request. Sorry about that!",
    502: "Bad gateway.",
    503: "The engine is currently overloaded, please try again later.",
    529: "The engine is currently overloaded, please try again later.",
}


def check_key(headers: Mapping[str, str], key: str) -> None:
    """Refuse a missing or a wrong bearer token; as OpenAI does, show part of a wrong one."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not given:
        raise Refused(
            401,
            "You didn't provide an API key. You need to provide your API key in an Authorization"
            " header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
        )
    if given != key:
        raise Refused(401, wrong_key(given))


def wrong_key(key: str) -> str:
    """The 401 message, with the ends of the key in it."""
    shown = f"{key[:11]}{'*' * 16}{key[-4:]}"
    return (
        f"Incorrect API key provided: {shown}. You can find your API key at"
        " https://platform.openai.com/account/api-keys."
    )


def read(body: bytes, headers: Mapping[str, str]) -> Ask:
    """Parse a chat completion request; raise `Refused` where OpenAI answers 400."""
    try:
        asked = json.loads(body)
    except ValueError:
        asked = None
    if not isinstance(asked, dict):
        raise Refused(
            400,
            "We could not parse the JSON body of your request. (HINT: This likely means you"
            " aren't using your HTTP library correctly.)",
        )
    if not isinstance(asked.get("model"), str):
        raise Refused(400, "you must provide a model parameter")
    if not isinstance(asked.get("messages"), list):
        missing = "Missing required parameter: 'messages'."
        raise Refused(400, missing, code="missing_required_parameter", param="messages")
    stream = asked.get("stream") is True
    options = asked.get("stream_options")
    if options is not None and not stream:
        only = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise Refused(400, only, param="stream_options")
    limit = asked.get("max_completion_tokens")
    if limit is None:
        limit = asked.get("max_tokens")
    choices = asked.get("n") or 1
    for name, value in (("max_completion_tokens", limit), ("n", choices)):
        if value is not None and (type(value) is not int or value < 1):
            wrong = f"Invalid value for '{name}': expected an integer of at least 1."
            raise Refused(400, wrong, code="invalid_value", param=name)
    tools = tuple(
        tool["function"]["name"]
        for tool in asked.get("tools") or ()
        if isinstance(tool, dict) and isinstance(tool.get("function"), dict)
    )
    return Ask(
        protocol="openai",
        model=asked["model"],
        stream=stream,
        limit=limit,
        choices=choices,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        tools=tools,
        words=last_words(asked["messages"]),
    )


def last_words(messages: list[Any]) -> str:
    """The text of the last user message, whether plain or in parts."""
    for message in reversed(messages):
        if isinstance(message, dict) and message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, str):
                return content
            parts = [p.get("text", "") for p in content or () if isinstance(p, dict)]
            return " ".join(part for part in parts if isinstance(part, str))
    return ""


def plan(ask: Ask, behaviour: Behaviour, number: int) -> Plan:
    """The whole answer, streamed or plain; `number` makes its id."""
    script = compose(behaviour, ask)
    answer: dict[str, Any] = {
        "id": f"chatcmpl-{number:024d}",
        "object": "chat.completion.chunk" if ask.stream else "chat.completion",
        "created": int(time.time()),
        "model": ask.model,
        "service_tier": "default",
        "system_fingerprint": "fp_fa4ebe0c00",
    }
    total = _times(script.usage, ask.choices)
    if not ask.stream:
        answer["choices"] = [_choice(script, index) for index in range(ask.choices)]
        if behaviour.report_usage:
            answer["usage"] = usage_shape(total)
        frames = [Frame(dump(answer), total.output or 0)]
        return Plan(frames, behaviour, usage=total)
    made = Plan(
        _frames(answer, script, ask, behaviour, total),
        behaviour,
        streamed=True,
        content_type="text/event-stream; charset=utf-8",
        usage=total,
    )
    made.ping_frame = b": ping\n\n"
    made.open_line = (
        _event(answer | {"choices": [_delta(0, {"content": ""})]})[:-1].split(b'"content":"')[0]
        + b'"content":"'
    )
    return made


def _frames(
    answer: dict[str, Any], script: Script, ask: Ask, behaviour: Behaviour, total: Usage
) -> list[Frame]:
    usage: dict[str, Any] = {"usage": None} if ask.include_usage else {}

    def chunk(index: int, delta: dict[str, Any], finish: str | None = None) -> bytes:
        return _event(answer | {"choices": [_delta(index, delta, finish)]} | usage)

    choices = range(ask.choices)
    role = {"role": "assistant", "content": "", "refusal": None}
    frames = [Frame(chunk(i, role), script.hidden) for i in choices]
    opened: set[int] = set()
    for number, piece in enumerate(script.pieces):
        for i in choices:
            if piece.kind == "text":
                delta: dict[str, Any] = {"content": piece.text}
            else:
                tool = sorted({p.block for p in script.pieces if p.kind == "tool"}).index(
                    piece.block
                )
                if piece.block not in opened:
                    call = _tool_call(piece.block, piece.tool, "", tool)
                    frames.append(Frame(chunk(i, {"tool_calls": [call]})))
                delta = {"tool_calls": [{"index": tool, "function": {"arguments": piece.text}}]}
            frames.append(Frame(chunk(i, delta), piece.tokens, content=True))
        opened.add(piece.block)
        if behaviour.ping_every and (number + 1) % behaviour.ping_every == 0:
            frames.append(Frame(b": ping\n\n"))
    frames += [Frame(chunk(i, {}, _FINISH[script.ended])) for i in choices]
    if ask.include_usage and behaviour.report_usage:
        frames.append(Frame(_event(answer | {"choices": [], "usage": usage_shape(total)})))
    return [*frames, Frame(b"data: [DONE]\n\n")]


_FINISH = {"stop": "stop", "length": "length", "tool": "tool_calls"}


def _delta(index: int, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}


def _tool_call(block: int, name: str, arguments: str, index: int | None = None) -> dict[str, Any]:
    call = {
        "id": f"call_{block:024d}",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }
    return call if index is None else {"index": index} | call


def _choice(script: Script, index: int) -> dict[str, Any]:
    blocks = script.joined()
    text = "".join(piece.text for piece in blocks if piece.kind == "text")
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    calls = [_tool_call(p.block, p.tool, p.text) for p in blocks if p.kind == "tool"]
    if calls:
        message |= {"content": text or None, "tool_calls": calls}
    return {
        "index": index,
        "message": message | {"annotations": []},
        "logprobs": None,
        "finish_reason": _FINISH[script.ended],
    }


def _times(usage: Usage, choices: int) -> Usage:
    if choices == 1:
        return usage
    output, reasoning = (usage.output or 0) * choices, usage.reasoning * choices
    return replace(usage, output=output, reasoning=reasoning)


def usage_shape(usage: Usage) -> dict[str, Any]:
    """The `usage` object: here the prompt includes what was cached."""
    output = usage.output or 0
    prompt: dict[str, int] = {"cached_tokens": usage.cached, "audio_tokens": 0}
    if usage.cache_write:
        prompt["cache_write_tokens"] = usage.cache_write
    return {
        "prompt_tokens": usage.all_input,
        "completion_tokens": output,
        "total_tokens": usage.all_input + output,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def error(refused: Refused) -> dict[str, Any]:
    """The body of an error answer."""
    server = "server_error" if refused.status >= 500 else "invalid_request_error"
    kind, code = _KINDS.get(refused.status, (server, None))
    return {
        "error": {
            "message": refused.message or _MESSAGES.get(refused.status, "An error occurred."),
            "type": refused.kind or kind,
            "param": refused.param or None,
            "code": refused.code or code,
        }
    }


def error_event(refused: Refused) -> bytes:
    """The same as an event of a stream."""
    return _event(error(refused))


def models(names: tuple[str, ...]) -> dict[str, Any]:
    """The list of models."""
    return {"object": "list", "data": [model(name) for name in names]}


def model(name: str) -> dict[str, Any]:
    """One model of that list."""
    return {"id": name, "object": "model", "created": 1715367049, "owned_by": "system"}


def dump(value: Any) -> bytes:
    """Compact JSON, with characters beyond ASCII as themselves."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _event(value: Any) -> bytes:
    return b"data: " + dump(value) + b"\n\n"
