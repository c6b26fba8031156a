"""``/ai-proxy`` to Anthropic's messages, and back."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import orjson

from common.errors import BadInput
from proxy.ai_proxy.asked import LIMIT, Asked, Message, Part
from proxy.ai_proxy.telling import Event, Telling
from proxy.meter.base import mapping
from proxy.protocols import MESSAGES

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "filtered",
}
_CHOICES = {"auto": "auto", "none": "none", "required": "any"}


def request(asked: Asked) -> dict[str, Any]:
    """The body of a message, without its model. Raises ``BadInput`` for audio."""
    body: dict[str, Any] = {"messages": _turns(asked.messages), **asked.numbers}
    told = [_texts(one) for one in asked.messages if one.role == "system"]
    system = "\n\n".join(text for text in [asked.system, *told] if text)
    if system:
        body["system"] = system
    if asked.stop:
        body["stop_sequences"] = asked.stop
    if asked.stream:
        body["stream"] = True
    if asked.tools:
        body["tools"] = [_tool(one) for one in asked.tools]
    if asked.tool_name:
        body["tool_choice"] = {"type": "tool", "name": asked.tool_name}
    elif asked.tool_choice:
        body["tool_choice"] = {"type": _CHOICES[asked.tool_choice]}
    return body


def _turns(messages: list[Message]) -> list[dict[str, Any]]:
    """Messages of one side that follow one another become one: the answers of several tools have
    to be."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "system":
            continue
        role = "assistant" if message.role == "assistant" else "user"
        blocks = _blocks(message)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    if not turns:
        raise BadInput("messages: must hold one that is not the system's.", param="messages")
    return turns


def _blocks(message: Message) -> list[dict[str, Any]]:
    if message.role == "tool":
        result = {"type": "tool_result", "tool_use_id": message.tool_call_id}
        return [result | {"content": _texts(message)}]
    calls = [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}
        for call in message.tool_calls
    ]
    return [*map(_part, message.parts), *calls]


def _texts(message: Message) -> str:
    return "\n\n".join(part.text for part in message.parts)


def _part(part: Part) -> dict[str, Any]:
    if part.kind == "text":
        return {"type": "text", "text": part.text}
    if part.kind == "audio":
        raise BadInput(f"{part.where}.type: this model takes no audio.", param=f"{part.where}.type")
    if part.data is None:
        return {"type": "image", "source": {"type": "url", "url": part.url}}
    source = {"type": "base64", "media_type": part.data.kind, "data": part.data.base64}
    if part.kind == "image":
        return {"type": "image", "source": source}
    if part.data.kind.startswith("text/"):
        source = {"type": "text", "media_type": "text/plain", "data": _decoded(part)}
    return {"type": "document", "source": source, "title": part.name}


def _decoded(part: Part) -> str:
    assert part.data is not None
    try:
        return base64.b64decode(part.data.base64, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        where = f"{part.where}.url"
        raise BadInput(f"{where}: must hold text in base64.", param=where) from None


def _tool(tool: Any) -> dict[str, Any]:
    told = {"name": tool.name, "input_schema": tool.parameters}
    return told | ({"description": tool.description} if tool.description else {})


class FromMessages(Telling):
    """Tells blocks of text and calls of tools; thinking is not shown."""

    def _read(self, event: Mapping[str, Any]) -> Iterator[Event]:
        kind, place = event.get("type"), event.get("index")
        if not isinstance(place, int):
            place = -1
        delta = mapping(event.get("delta"))
        if kind == "content_block_start":
            block = mapping(event.get("content_block"))
            yield from self._text(block.get("text"))
            if block.get("type") == "tool_use":
                self._add_call(place, block.get("id"), block.get("name"))
        elif kind == "content_block_delta":
            yield from self._text(delta.get("text"))
            self._add_arguments(place, delta.get("partial_json"))
        elif kind == "content_block_stop":
            return  # whether it was cut off is known by the message's end
        elif kind == "message_delta":
            self._ended(delta.get("stop_reason"))
            yield from self._calls_made()

    def _read_whole(self, answer: Mapping[str, Any]) -> Iterator[Event]:
        blocks = answer.get("content")
        self._ended(answer.get("stop_reason"))
        for place, block in enumerate(blocks if isinstance(blocks, list) else []):
            block = mapping(block)
            if block.get("type") == "text":
                yield from self._text(block.get("text"))
            elif block.get("type") == "tool_use":
                self._add_call(place, block.get("id"), block.get("name"))
                arguments = orjson.dumps(mapping(block.get("input"))).decode()
                self._add_arguments(place, arguments)

    def _ended(self, reason: Any) -> None:
        if isinstance(reason, str):
            self.finish = _FINISH.get(reason, "other")


PROTOCOL = replace(
    MESSAGES,
    route="ai-proxy",
    delivery=FromMessages,
    limit_name=LIMIT,
    limit_required=False,
    switches=False,
    bounded=True,
)
