"""The demo provider's messages."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from proxy.demo.words import answer_to, event


def answer(body: Mapping[str, Any], call_id: str, stream: bool) -> Iterator[bytes]:
    words, cut, asked = answer_to(body.get("messages"), body.get("max_tokens"))
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
    yield event("message_start", message={**message, **start, "usage": usage})
    yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    for word in words:
        yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": word})
    yield event("content_block_stop", index=0)
    yield event(
        "message_delta",
        delta={"stop_reason": reason, "stop_sequence": None},
        usage={"output_tokens": len(words)},
    )
    yield event("message_stop")
