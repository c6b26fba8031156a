"""The built-in provider: answers when no other has a key, in either protocol, and reports usage.

It has no model behind it. It says so, and repeats the question, so that a newcomer sees the whole
loop of a paid call: hold, stream, usage, capture, receipt.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

PAUSE_SECONDS = 0.02
_MOST_WORDS = 400


class DemoAnswer:
    """An answer like a provider's (``upstream.Answer``), made here."""

    status = 200

    def __init__(self, body: Mapping[str, Any], protocol: str, call_id: str) -> None:
        make = _anthropic if protocol == "anthropic" else _openai
        self._stream = bool(body.get("stream"))
        self._parts = make(body, call_id, self._stream)
        kind = "text/event-stream" if self._stream else "application/json"
        self.headers = {"content-type": kind}

    async def read(self) -> bytes:
        if self._stream:
            await asyncio.sleep(PAUSE_SECONDS)
        return next(self._parts, b"")

    async def finish(self) -> None:
        """Nothing is left to read."""

    def close(self) -> None:
        self._parts = iter(())


def _answer(body: Mapping[str, Any]) -> tuple[list[str], bool, int]:
    """The words of the answer, whether they were cut off, and the question's length in tokens."""
    question = _last_text(body.get("messages"))
    limit = body.get("max_completion_tokens") or body.get("max_tokens") or _MOST_WORDS
    said = question[:300].strip() or "nothing"
    text = (
        "This is Farebox's demo provider: no AI is behind it, but the call is real. It was held "
        "against your balance before it began, it streams to you event by event, and it will be "
        f"billed to the microcredit when it ends. You said: “{said}”"
    )
    words = re.findall(r"\S+\s*", text)
    bound = min(limit, _MOST_WORDS)
    size = len(orjson.dumps(body.get("messages")))
    return words[:bound], len(words) > bound, max(size // 4, 1)


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


def _openai(body: Mapping[str, Any], call_id: str, stream: bool) -> Iterator[bytes]:
    words, cut, asked = _answer(body)
    choices = body.get("n") or 1
    milliseconds = int(call_id.replace("-", "")[:12], 16)  # of a version 7 UUID
    common = {"id": f"chatcmpl-{call_id}", "created": milliseconds // 1000, "model": "demo"}
    reason = "length" if cut else "stop"
    usage = {
        "prompt_tokens": asked,
        "completion_tokens": len(words) * choices,
        "total_tokens": asked + len(words) * choices,
        "prompt_tokens_details": {"cached_tokens": 0},
    }
    if not stream:
        message = {"role": "assistant", "content": "".join(words)}
        yield orjson.dumps(
            {
                **common,
                "object": "chat.completion",
                "choices": [
                    {"index": i, "message": message, "finish_reason": reason}
                    for i in range(choices)
                ],
                "usage": usage,
            }
        )
        return

    def chunk(delta: Mapping[str, Any], finish: str | None = None) -> bytes:
        return b"".join(
            _data(
                {
                    **common,
                    "object": "chat.completion.chunk",
                    "choices": [{"index": i, "delta": delta, "finish_reason": finish}],
                    "usage": None,
                }
            )
            for i in range(choices)
        )

    yield chunk({"role": "assistant", "content": ""})
    for word in words:
        yield chunk({"content": word})
    yield chunk({}, reason)
    yield _data({**common, "object": "chat.completion.chunk", "choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


def _anthropic(body: Mapping[str, Any], call_id: str, stream: bool) -> Iterator[bytes]:
    words, cut, asked = _answer(body)
    reason = "max_tokens" if cut else "end_turn"
    message = {"id": f"msg_{call_id}", "type": "message", "role": "assistant", "model": "demo"}
    if not stream:
        yield orjson.dumps(
            {
                **message,
                "content": [{"type": "text", "text": "".join(words)}],
                "stop_reason": reason,
                "stop_sequence": None,
                "usage": {"input_tokens": asked, "output_tokens": len(words)},
            }
        )
        return
    usage = {"input_tokens": asked, "output_tokens": 1}
    start: dict[str, Any] = {"content": [], "stop_reason": None, "stop_sequence": None}
    yield _event("message_start", message={**message, **start, "usage": usage})
    yield _event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    for word in words:
        yield _event("content_block_delta", index=0, delta={"type": "text_delta", "text": word})
    yield _event("content_block_stop", index=0)
    yield _event(
        "message_delta",
        delta={"stop_reason": reason, "stop_sequence": None},
        usage={"output_tokens": len(words)},
    )
    yield _event("message_stop")


def _data(value: Mapping[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: " + kind.encode() + b"\n" + _data({"type": kind, **fields})
