"""What ``/ai-proxy`` tells of answers that are not as they should be, and in what pieces."""

import json
from typing import Any

import pytest

from common.errors import UpstreamError
from proxy.ai_proxy.chat import FromChat
from proxy.ai_proxy.messages import FromMessages
from proxy.ai_proxy.telling import Telling
from proxy.meter import ChatMeter, MessagesMeter


def from_chat() -> Telling:
    return FromChat(ChatMeter(), "call-1", "openai")


def from_messages() -> Telling:
    return FromMessages(MessagesMeter(), "call-1", "openai")


def told(data: bytes) -> list[Any]:
    return [json.loads(line[6:]) for line in data.split(b"\n\n") if line.startswith(b"data: ")]


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def chunk(finish: str | None = None, **delta: Any) -> bytes:
    return event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def called(arguments: str, index: int = 0, **more: Any) -> dict[str, Any]:
    return {"index": index, **more, "function": {"name": more.get("id"), "arguments": arguments}}


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("stop", "stop"), ("length", "length"), ("content_filter", "filtered"), ("odd", "other")],
)
def test_how_a_chat_completion_finished(reason: str, finish: str) -> None:
    telling = from_chat()
    telling.pass_on(chunk(reason))
    assert told(telling.end(b"", 5)) == [
        {"type": "done", "finish": finish, "call": "call-1", "spent": "0.000005"}
    ]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("end_turn", "stop"), ("stop_sequence", "stop"), ("max_tokens", "length"),
     ("refusal", "filtered"), ("pause_turn", "other")],
)  # fmt: skip
def test_how_a_message_finished(reason: str, finish: str) -> None:
    telling = from_messages()
    telling.pass_on(event({"type": "message_delta", "delta": {"stop_reason": reason}}))
    (done,) = told(telling.end(b"", None))
    assert (done["finish"], done["spent"]) == (finish, None)


def test_calls_that_come_mixed_are_told_one_by_one() -> None:
    telling = from_chat()
    for index, piece in ((0, '{"a"'), (1, "{"), (0, ":1}"), (1, "}")):
        more = {"id": f"c{index}"} if piece.startswith("{") else {}
        assert telling.pass_on(chunk(tool_calls=[called(piece, index, **more)])) == b""
    assert told(telling.pass_on(chunk("tool_calls"))) == [
        {"type": "tool_call", "id": "c0", "name": "c0", "arguments": {"a": 1}},
        {"type": "tool_call", "id": "c1", "name": "c1", "arguments": {}},
    ]


def test_arguments_that_are_no_object_come_raw() -> None:
    for raw in ("[1]", "{oops", '"text"'):
        telling = from_chat()
        telling.pass_on(chunk(tool_calls=[called(raw, id="c0")]))
        (call,) = told(telling.pass_on(chunk("tool_calls")))
        assert (call["arguments"], call["raw"]) == (None, raw)


def test_a_call_whose_end_is_not_told_is_told_at_the_end_of_all() -> None:
    telling = from_chat()
    telling.pass_on(chunk(tool_calls=[called("{}", id="c0")]))
    assert [one["type"] for one in told(telling.end(b"", 0))] == ["tool_call", "done"]


def test_a_call_without_bounds_ends_the_answer() -> None:
    telling = from_chat()
    piece = chunk(tool_calls=[called("x" * 200_000, id="c0")])
    for _ in range(5):
        assert telling.pass_on(piece) == b""
    with pytest.raises(UpstreamError, match="too long"):
        telling.pass_on(piece)


def test_a_refusal_is_text_and_thinking_is_not() -> None:
    assert told(from_chat().pass_on(chunk(refusal="No."))) == [{"type": "text", "text": "No."}]
    assert from_chat().pass_on(chunk(reasoning_content="Hm", content=None)) == b""
    thought = {"type": "content_block_delta", "index": 0, "delta": {"thinking": "Hm"}}
    assert from_messages().pass_on(event(thought)) == b""


def test_pings_keep_a_connection_open() -> None:
    assert from_chat().pass_on(b": OPENROUTER PROCESSING\n\n") == b": ping\n\n"


@pytest.mark.parametrize("make", [from_chat, from_messages])
def test_whatever_comes_is_no_crash(make: Any) -> None:
    odd: list[Any] = [
        [], 7, None, "text", {"choices": 7}, {"choices": [7]}, {"choices": [{"delta": 7}]},
        {"choices": [{"delta": {"tool_calls": 7, "content": 7}, "finish_reason": 7}]},
        {"choices": [{"delta": {"tool_calls": [7, {"function": 7}, {"index": "x"}]}}]},
        {"choices": [{"message": {"tool_calls": [{"function": {"arguments": 7}}]}}]},
        {"type": "content_block_start", "content_block": 7},
        {"type": "content_block_start", "index": [], "content_block": {"type": "tool_use"}},
        {"type": "content_block_delta", "index": {}, "delta": {"partial_json": "{", "text": 1}},
        {"type": "message_delta", "delta": {"stop_reason": 7}}, {"content": 7},
        {"content": [7, {"type": "text", "text": 7}, {"type": "tool_use", "input": 7}]},
    ]  # fmt: skip
    for value in odd:
        telling = make()
        telling.pass_on(event(value))
        assert told(telling.end(b"", 0))[-1]["type"] == "done"
        whole = json.loads(make().whole(json.dumps(value).encode(), 0))
        assert set(whole) == {"text", "tool_calls", "usage", "finish", "call", "spent"}
