"""What the demo provider says, whatever the protocol, and the form of its events."""

import re
from collections.abc import Mapping
from typing import Any

import orjson

_MOST_WORDS = 400


def answer_to(asked: Any, limit: Any) -> tuple[list[str], bool, int]:
    """The words of the answer to a conversation, whether they were cut off at ``limit`` of them,
    and the conversation's length in tokens."""
    question = asked if isinstance(asked, str) else _last_text(asked)
    said = question[:300].strip() or "nothing"
    text = (
        "This is Farebox's demo provider: no AI is behind it, but the call is real. It was held "
        "against your balance before it began, it streams to you event by event, and it will be "
        f"billed to the microcredit when it ends. You said: “{said}”"
    )
    words = re.findall(r"\S+\s*", text)
    bound = min(limit or _MOST_WORDS, _MOST_WORDS)
    return words[:bound], len(words) > bound, tokens_of(asked)


def tokens_of(asked: Any) -> int:
    """Four bytes are a token."""
    return max(len(orjson.dumps(asked)) // 4, 1)


def _last_text(messages: Any) -> str:
    """The text of the last message that has any."""
    for message in reversed(messages if isinstance(messages, list) else []):
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, str):
            return content
        for part in content if isinstance(content, list) else []:
            if isinstance(part, dict) and isinstance(part.get("text"), str):
                return str(part["text"])
    return ""


def seconds_of(call_id: str) -> int:
    """When a call began, UNIX time: its id is a version 7 UUID."""
    return int(call_id.replace("-", "")[:12], 16) // 1000


def data(value: Mapping[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


def event(kind: str, **fields: Any) -> bytes:
    return b"event: " + kind.encode() + b"\n" + data({"type": kind, **fields})
