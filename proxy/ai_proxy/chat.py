"""``/ai-proxy`` to a chat completion, and back from one."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import orjson

from proxy.ai_proxy.asked import LIMIT, Asked, Message, Part
from proxy.ai_proxy.telling import Event, Telling
from proxy.meter.base import mapping
from proxy.protocols import CHAT

_FINISH = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "filtered",
}


def request(asked: Asked) -> dict[str, Any]:
    """The body of a chat completion, without its model."""
    messages = [{"role": "system", "content": asked.system}] if asked.system else []
    body: dict[str, Any] = {"messages": messages + [_message(one) for one in asked.messages]}
    for name, value in asked.numbers.items():
        body["max_completion_tokens" if name == "max_tokens" else name] = value
    if asked.stop:
        body["stop"] = asked.stop
    if asked.stream:
        body["stream"] = True
    if asked.tools:
        body["tools"] = [{"type": "function", "function": _tool(one)} for one in asked.tools]
    if asked.tool_name:
        body["tool_choice"] = {"type": "function", "function": {"name": asked.tool_name}}
    elif asked.tool_choice:
        body["tool_choice"] = asked.tool_choice
    return body


def _message(message: Message) -> dict[str, Any]:
    parts = message.parts
    content: Any = [_part(one) for one in parts]
    if all(part.kind == "text" for part in parts):  # the form that every provider takes
        content = "\n\n".join(part.text for part in parts)
    told: dict[str, Any] = {"role": message.role, "content": content}
    if message.tool_calls:
        told["content"] = content or None
        told["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": orjson.dumps(call.arguments).decode(),
                },
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id:
        told["tool_call_id"] = message.tool_call_id
    return told


def _part(part: Part) -> dict[str, Any]:
    if part.kind == "text":
        return {"type": "text", "text": part.text}
    if part.kind == "image":
        detail = {"detail": part.detail} if part.detail else {}
        return {"type": "image_url", "image_url": {"url": part.url, **detail}}
    assert part.data is not None
    if part.kind == "audio":
        audio = {"data": part.data.base64, "format": part.audio_format}
        return {"type": "input_audio", "input_audio": audio}
    return {"type": "file", "file": {"filename": part.name, "file_data": part.url}}


def _tool(tool: Any) -> dict[str, Any]:
    told = {"name": tool.name, "parameters": tool.parameters}
    return told | ({"description": tool.description} if tool.description else {})


class FromChat(Telling):
    """Tells chunks of the first choice; there is never another."""

    def _read(self, event: Mapping[str, Any]) -> Iterator[Event]:
        for choice in _first(event.get("choices")):
            yield from self._read_message(mapping(choice.get("delta")))
            yield from self._ended(choice.get("finish_reason"))

    def _read_whole(self, answer: Mapping[str, Any]) -> Iterator[Event]:
        for choice in _first(answer.get("choices")):
            yield from self._read_message(mapping(choice.get("message")))
            yield from self._ended(choice.get("finish_reason"))

    def _read_message(self, message: Mapping[str, Any]) -> Iterator[Event]:
        yield from self._text(message.get("content"))
        yield from self._text(message.get("refusal"))
        calls = message.get("tool_calls")
        for place, call in enumerate(calls if isinstance(calls, list) else []):
            function = mapping(mapping(call).get("function"))
            number = mapping(call).get("index")
            number = number if isinstance(number, int) else place
            self._add_call(number, mapping(call).get("id"), function.get("name"))
            self._add_arguments(number, function.get("arguments"))

    def _ended(self, reason: Any) -> Iterator[Event]:
        if isinstance(reason, str):
            self.finish = _FINISH.get(reason, "other")
            yield from self._calls_made()


def _first(choices: Any) -> list[Mapping[str, Any]]:
    return [mapping(one) for one in choices[:1]] if isinstance(choices, list) else []


PROTOCOL = replace(CHAT, route="ai-proxy", delivery=FromChat, limit_name=LIMIT)
