"""What the meter reads out of Responses and embeddings: golden shapes, and what can't fool it."""

import json
from typing import Any

import pytest
from hypothesis import given

from proxy.meter import EmbeddingsMeter, ResponsesMeter
from tests.proxy.test_meter import dump, events_of, generated
from usage.prices import Usage

STREAM = b"""\
event: response.created
data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_67c9","object":"response","created_at":1741290958,"status":"in_progress","error":null,"incomplete_details":null,"instructions":"You are a helpful assistant.","max_output_tokens":null,"model":"gpt-5-2025-08-07","output":[],"parallel_tool_calls":true,"previous_response_id":null,"reasoning":{"effort":"medium","summary":"auto"},"store":true,"temperature":1.0,"text":{"format":{"type":"text"}},"tool_choice":"auto","tools":[],"top_p":1.0,"truncation":"disabled","usage":null,"user":null,"metadata":{}}}

event: response.in_progress
data: {"type":"response.in_progress","sequence_number":1,"response":{"id":"resp_67c9","object":"response","created_at":1741290958,"status":"in_progress","error":null,"output":[],"usage":null}}

event: response.output_item.added
data: {"type":"response.output_item.added","sequence_number":2,"output_index":0,"item":{"id":"rs_1","type":"reasoning","summary":[]}}

event: response.reasoning_summary_text.delta
data: {"type":"response.reasoning_summary_text.delta","sequence_number":3,"item_id":"rs_1","output_index":0,"summary_index":0,"delta":"Think","obfuscation":"abcdef"}

event: response.reasoning_summary_text.done
data: {"type":"response.reasoning_summary_text.done","sequence_number":4,"item_id":"rs_1","output_index":0,"summary_index":0,"text":"Think"}

event: response.output_item.added
data: {"type":"response.output_item.added","sequence_number":5,"output_index":1,"item":{"id":"msg_67c9","type":"message","status":"in_progress","role":"assistant","content":[]}}

event: response.content_part.added
data: {"type":"response.content_part.added","sequence_number":6,"item_id":"msg_67c9","output_index":1,"content_index":0,"part":{"type":"output_text","text":"","annotations":[]}}

event: response.output_text.delta
data: {"type":"response.output_text.delta","sequence_number":7,"item_id":"msg_67c9","output_index":1,"content_index":0,"delta":"Hi","logprobs":[],"obfuscation":"dK3"}

event: response.output_text.done
data: {"type":"response.output_text.done","sequence_number":8,"item_id":"msg_67c9","output_index":1,"content_index":0,"text":"Hi"}

event: response.content_part.done
data: {"type":"response.content_part.done","sequence_number":9,"item_id":"msg_67c9","output_index":1,"content_index":0,"part":{"type":"output_text","text":"Hi","annotations":[]}}

event: response.function_call_arguments.delta
data: {"type":"response.function_call_arguments.delta","sequence_number":10,"item_id":"fc_1","output_index":2,"delta":"{\\"a\\":","obfuscation":"x"}

event: response.output_item.done
data: {"type":"response.output_item.done","sequence_number":11,"output_index":1,"item":{"id":"msg_67c9","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hi","annotations":[]}]}}

event: response.completed
data: {"type":"response.completed","sequence_number":12,"response":{"id":"resp_67c9","object":"response","created_at":1741290958,"status":"completed","error":null,"incomplete_details":null,"model":"gpt-5-2025-08-07","output":[{"id":"msg_67c9","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hi","annotations":[]}]}],"tool_usage":{"web_search":{"num_requests":0}},"usage":{"input_tokens":3700,"input_tokens_details":{"cached_tokens":3000,"cache_write_tokens":500},"output_tokens":300,"output_tokens_details":{"reasoning_tokens":256},"total_tokens":4000},"user":null,"metadata":{}}}

"""  # noqa: E501
USED = Usage(input=3_700, cached=3_000, cache_write=500, output=300, reasoning=256)


@pytest.mark.parametrize("together", [True, False], ids=["at once", "event by event"])
def test_a_stream(together: bool) -> None:
    meter = ResponsesMeter(hide_usage=True)
    parts = [STREAM] if together else events_of(STREAM)
    assert b"".join(meter.feed(part) for part in parts) == STREAM
    assert meter.tokens == USED
    assert (meter.exact, meter.done, meter.failed) == (True, True, False)
    # Of text that is repeated when a part and the whole end, only the deltas count.
    assert meter.text_bytes == len("Think" + "Hi" + '{\\"a\\":')
    assert meter.tokens.buckets() == {
        "input": 200, "cache_read": 3_000, "cache_write": 500, "cache_write_1h": 0,
        "output": 44, "reasoning": 256,
    }  # fmt: skip


def test_nothing_is_known_before_the_end() -> None:
    meter = ResponsesMeter()
    for event in events_of(STREAM)[:-1]:
        meter.feed(event)
        assert (meter.exact, meter.done, meter.failed) == (False, False, False)
    assert meter.next_number == 12
    assert meter.response == {
        "id": "resp_67c9", "object": "response", "created_at": 1741290958,
        "model": "gpt-5-2025-08-07",
    }  # fmt: skip


def test_the_end_is_held_back_apart() -> None:
    meter = ResponsesMeter()
    before, end = meter.split_end(STREAM)
    assert before + end == STREAM
    assert end == events_of(STREAM)[-1]


def last(kind: str, usage: Any, **more: Any) -> bytes:
    response = {"id": "resp_1", "status": kind, "usage": usage, **more}
    body = {"type": f"response.{kind}", "sequence_number": 3, "response": response}
    return f"event: response.{kind}\n".encode() + b"data: " + dump(body) + b"\n\n"


USAGE = {
    "input_tokens": 3_700,
    "input_tokens_details": {"cached_tokens": 3_000, "cache_write_tokens": 500},
    "output_tokens": 300,
    "output_tokens_details": {"reasoning_tokens": 256},
    "total_tokens": 4_000,
}


def test_an_incomplete_response_is_an_end_too() -> None:
    meter = ResponsesMeter()
    event = last("incomplete", USAGE, incomplete_details={"reason": "max_output_tokens"})
    assert meter.feed(event) == event
    assert (meter.done, meter.failed, meter.tokens) == (True, False, USED)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=repr)
def test_a_failed_response_is_no_end_but_its_usage_counts(end: bytes) -> None:
    error = {"code": "server_error", "message": "x"}
    for usage, tokens in ((USAGE, USED), (None, Usage())):
        meter = ResponsesMeter()
        delta = events_of(STREAM)[7].replace(b"\n", end)
        failed = last("failed", usage, error=error).replace(b"\n", end)
        assert meter.feed(delta + failed) == delta
        assert (meter.done, meter.failed, meter.tokens) == (False, True, tokens)
        assert meter.exact is (usage is not None)


@pytest.mark.parametrize(
    "event",
    [
        b'event: error\ndata: {"type":"error","code":"x","message":"y","sequence_number":1}\n\n',
        b'data: {"type":"error","error":{"message":"y"}}\n\n',
        b'data: {"error":{"message":"y"}}\n\n',
        b'event:response.failed\ndata: {"response":{"error":{"message":"y"}}}\n\n',
    ],
)
def test_errors(event: bytes) -> None:
    meter = ResponsesMeter()
    assert meter.feed(event) == b""
    assert meter.failed


def test_a_plain_answer() -> None:
    meter = ResponsesMeter()
    content = [{"type": "output_text", "text": "four"}]
    output = [{"type": "message", "content": content}]
    meter.plain(dump({"id": "resp_1", "output": output, "error": None, "usage": USAGE}))
    assert (meter.tokens, meter.exact, meter.text_bytes) == (USED, True, 4)


@pytest.mark.parametrize(
    "usage",
    [None, {}, [], 7, {"input_tokens": -5, "output_tokens": 1},
     {"input_tokens": "9", "output_tokens": 9.5}, {"input_tokens": 2**62, "output_tokens": 1}],
    ids=repr,
)  # fmt: skip
def test_nonsense_is_not_believed(usage: Any) -> None:
    for meter in (ResponsesMeter(), EmbeddingsMeter()):
        meter.plain(dump({"usage": usage}))
        assert not meter.exact
        assert meter.tokens.input == 0
    meter = ResponsesMeter()
    meter.feed(last("completed", usage))
    assert meter.done
    assert not meter.exact


def test_parts_are_never_more_than_the_whole() -> None:
    meter = ResponsesMeter()
    usage = {
        "input_tokens": 100, "output_tokens": 5,
        "input_tokens_details": {"cached_tokens": 500, "cache_write_tokens": 500},
        "output_tokens_details": {"reasoning_tokens": 50},
    }  # fmt: skip
    meter.plain(dump({"usage": usage}))
    assert meter.tokens == Usage(input=100, cached=100, output=5, reasoning=5)


@given(generated)
def test_generated_text_fools_no_meter(text: str) -> None:
    meter = ResponsesMeter()
    fields = {"type": "response.output_text.delta", "sequence_number": 7, "delta": text}
    event = b"event: response.output_text.delta\ndata: " + dump(fields) + b"\n\n"
    assert meter.feed(event) == event
    assert (meter.exact, meter.done, meter.failed) == (False, False, False)
    assert meter.next_number == 8
    assert meter.text_bytes == len(json.dumps(text, ensure_ascii=False).encode()) - 2


def test_embeddings() -> None:
    meter = EmbeddingsMeter()
    data = [{"object": "embedding", "index": 0, "embedding": [0.0023, -0.0093]}]
    usage = {"prompt_tokens": 8, "total_tokens": 8}
    answer = {"object": "list", "data": data, "model": "text-embedding-3-small", "usage": usage}
    meter.plain(dump(answer))
    assert (meter.tokens, meter.exact, meter.text_bytes) == (Usage(input=8), True, 0)


def test_embeddings_without_a_report_have_no_output_all_the_same() -> None:
    meter = EmbeddingsMeter()
    meter.plain(dump({"object": "list", "data": []}))
    assert (meter.input_known, meter.output_known) == (False, True)


@pytest.mark.parametrize("kind", [{}, [], None, 1])
def test_a_type_that_is_none_is_no_error(kind: Any) -> None:
    """Nor is it the end; what it says of usage still counts."""
    meter = ResponsesMeter()
    told = {"type": kind, "response": {"usage": {"input_tokens": 3, "output_tokens": 2}}}
    meter.feed(b"data: " + dump(told) + b"\n\n")
    assert (meter.tokens.input, meter.tokens.output, meter.done) == (3, 2, False)
