"""The demo provider's Responses."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from proxy.demo.words import answer_to, event, seconds_of


def answer(body: Mapping[str, Any], call_id: str, stream: bool) -> Iterator[bytes]:
    words, cut, asked = answer_to(body.get("input"), body.get("max_output_tokens"))
    text = "".join(words)
    part: dict[str, Any] = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    item = {"id": f"msg_{call_id}", "type": "message", "role": "assistant"}
    whole = {
        **item,
        "status": "incomplete" if cut else "completed",
        "content": [{**part, "text": text}],
    }
    begun = _response(body, call_id)
    ended = {
        **begun,
        "status": whole["status"],
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "output": [whole],
        "usage": {
            "input_tokens": asked,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": len(words),
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": asked + len(words),
        },
    }
    if not stream:
        yield orjson.dumps(ended)
        return
    place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    told: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": begun}),
        ("response.in_progress", {"response": begun}),
        (
            "response.output_item.added",
            {"output_index": 0, "item": {**item, "status": "in_progress", "content": []}},
        ),
        ("response.content_part.added", {**place, "part": part}),
        *(("response.output_text.delta", {**place, "delta": w, "logprobs": []}) for w in words),
        ("response.output_text.done", {**place, "text": text, "logprobs": []}),
        ("response.content_part.done", {**place, "part": {**part, "text": text}}),
        ("response.output_item.done", {"output_index": 0, "item": whole}),
        ("response.incomplete" if cut else "response.completed", {"response": ended}),
    ]
    for number, (kind, fields) in enumerate(told):
        yield event(kind, sequence_number=number, **fields)


def _response(body: Mapping[str, Any], call_id: str) -> dict[str, Any]:
    return {
        "id": f"resp_{call_id}",
        "object": "response",
        "created_at": seconds_of(call_id),
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "model": "demo",
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        "metadata": body.get("metadata") or {},
    }
