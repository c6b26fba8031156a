"""The demo provider's chat completions."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from proxy.demo.words import answer_to, data, seconds_of


def answer(body: Mapping[str, Any], call_id: str, stream: bool) -> Iterator[bytes]:
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    words, cut, asked = answer_to(body.get("messages"), limit)
    choices = body.get("n") or 1
    common = {"id": f"chatcmpl-{call_id}", "created": seconds_of(call_id), "model": "demo"}
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
            data(
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
    yield data({**common, "object": "chat.completion.chunk", "choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"
