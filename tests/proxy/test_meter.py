"""What the meter reads out of answers: golden shapes of both providers, and what can't fool it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.meter import ChatMeter, MessagesMeter, Meter
from usage.prices import Usage

OPENAI_STREAM = b"""\
data: {"id":"chatcmpl-B","object":"chat.completion.chunk","created":1741570283,"model":"gpt-4o-mini-2024-07-18","service_tier":"default","system_fingerprint":"fp_44","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"pF"}

data: {"id":"chatcmpl-B","object":"chat.completion.chunk","created":1741570283,"model":"gpt-4o-mini-2024-07-18","service_tier":"default","system_fingerprint":"fp_44","choices":[{"index":0,"delta":{"content":"Hello"},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"x"}

data: {"id":"chatcmpl-B","object":"chat.completion.chunk","created":1741570283,"model":"gpt-4o-mini-2024-07-18","service_tier":"default","system_fingerprint":"fp_44","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null,"obfuscation":"k"}

data: {"id":"chatcmpl-B","object":"chat.completion.chunk","created":1741570283,"model":"gpt-4o-mini-2024-07-18","service_tier":"default","system_fingerprint":"fp_44","choices":[],"usage":{"prompt_tokens":2006,"completion_tokens":300,"total_tokens":2306,"prompt_tokens_details":{"cached_tokens":1920,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":120,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},"obfuscation":""}

data: [DONE]

"""  # noqa: E501
ANTHROPIC_STREAM = b"""\
event: message_start
data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5-20250929","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":472,"cache_creation_input_tokens":1300,"cache_read_input_tokens":900,"cache_creation":{"ephemeral_5m_input_tokens":1000,"ephemeral_1h_input_tokens":300},"output_tokens":2,"service_tier":"standard"}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: ping
data: {"type":"ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Okay"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"get_weather","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\\"location\\":"}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":89}}

event: message_stop
data: {"type":"message_stop"}

"""  # noqa: E501


def events_of(stream: bytes) -> list[bytes]:
    return [event + b"\n\n" for event in stream.split(b"\n\n")[:-1]]


@pytest.mark.parametrize("together", [True, False], ids=["at once", "event by event"])
def test_openais_stream(together: bool) -> None:
    meter = ChatMeter()
    parts = [OPENAI_STREAM] if together else events_of(OPENAI_STREAM)
    assert b"".join(meter.feed(part) for part in parts) == OPENAI_STREAM
    assert meter.tokens == Usage(input=2_006, cached=1_920, output=300, reasoning=120)
    assert (meter.exact, meter.done, meter.failed) == (True, True, False)
    assert meter.text_bytes == len("Hello")


@pytest.mark.parametrize("together", [True, False], ids=["at once", "event by event"])
def test_openais_usage_event_is_hidden_when_nobody_asked(together: bool) -> None:
    meter = ChatMeter(hide_usage=True)
    parts = [OPENAI_STREAM] if together else events_of(OPENAI_STREAM)
    shown = b"".join(meter.feed(part) for part in parts)
    hidden = events_of(OPENAI_STREAM)[3]
    assert shown == OPENAI_STREAM.replace(hidden, b"")
    assert meter.exact


@pytest.mark.parametrize("together", [True, False], ids=["at once", "event by event"])
def test_anthropics_stream(together: bool) -> None:
    meter = MessagesMeter(hide_usage=True)
    parts = [ANTHROPIC_STREAM] if together else events_of(ANTHROPIC_STREAM)
    assert b"".join(meter.feed(part) for part in parts) == ANTHROPIC_STREAM
    assert meter.tokens == Usage(
        input=472 + 900 + 1_300, cached=900, cache_write=1_000, cache_write_1h=300, output=89
    )
    assert (meter.exact, meter.done, meter.failed) == (True, True, False)
    assert meter.text_bytes == len("Okay") + len('{\\"location\\":')


def test_anthropics_input_is_known_from_the_first_event_on() -> None:
    meter = MessagesMeter()
    for event in events_of(ANTHROPIC_STREAM)[:4]:
        meter.feed(event)
    assert (meter.input_known, meter.output_known, meter.exact) == (True, False, False)
    assert (meter.tokens.input, meter.tokens.output) == (2_672, 2)


def test_a_last_delta_may_correct_the_input() -> None:
    meter = MessagesMeter()
    meter.feed(events_of(ANTHROPIC_STREAM)[0])
    usage = {
        "input_tokens": 500, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 10,
        "output_tokens": 40,
    }  # fmt: skip
    meter.feed(b"event: message_delta\ndata: " + dump({"type": "message_delta", "usage": usage}))
    assert meter.tokens == Usage(input=510, cached=10, output=40)


def test_buckets_are_disjoint() -> None:
    """Reasoning is a part of the output, told apart."""
    meter = ChatMeter()
    meter.feed(OPENAI_STREAM)
    assert meter.tokens.buckets() == {
        "input": 86, "cache_read": 1_920, "cache_write": 0, "cache_write_1h": 0,
        "output": 180, "reasoning": 120,
    }  # fmt: skip
    messages = MessagesMeter()
    messages.feed(ANTHROPIC_STREAM)
    assert messages.tokens.buckets() == {
        "input": 472, "cache_read": 900, "cache_write": 1_000, "cache_write_1h": 300,
        "output": 89, "reasoning": 0,
    }  # fmt: skip


def test_thinking_is_a_part_of_the_output() -> None:
    meter = MessagesMeter()
    usage = {
        "input_tokens": 5, "output_tokens": 40, "output_tokens_details": {"thinking_tokens": 30}
    }  # fmt: skip
    meter.plain(dump({"content": [], "usage": usage}))
    assert meter.tokens == Usage(input=5, output=40, reasoning=30)


def test_plain_answers() -> None:
    meter: Meter = ChatMeter()
    details = {"cached_tokens": 40, "cache_write_tokens": 60}
    usage: Any = {"prompt_tokens": 107, "completion_tokens": 9, "prompt_tokens_details": details}
    meter.plain(dump({"choices": [{"message": {"content": "four"}}], "usage": usage}))
    assert meter.tokens == Usage(input=107, cached=40, cache_write=60, output=9)
    assert (meter.exact, meter.text_bytes) == (True, 4)
    meter = MessagesMeter()
    meter.plain(
        dump({"content": [{"text": "four"}], "usage": {"input_tokens": 7, "output_tokens": 3}})
    )
    assert meter.tokens == Usage(input=7, output=3)


@pytest.mark.parametrize("make", [ChatMeter, MessagesMeter])
@pytest.mark.parametrize(
    "usage",
    [None, {}, [], 7, {"prompt_tokens": -5, "completion_tokens": 1, "input_tokens": -5},
     {"prompt_tokens": "9", "completion_tokens": 9.5, "input_tokens": True},
     {"prompt_tokens": 2**62, "completion_tokens": 1, "input_tokens": 2**62}],
    ids=repr,
)  # fmt: skip
def test_nonsense_is_not_believed(make: type[Meter], usage: Any) -> None:
    meter = make()
    meter.plain(dump({"usage": usage}))
    assert not meter.exact
    assert meter.tokens.input == 0
    for body in (
        {"type": "message_start", "message": {"usage": usage}},
        {"type": "message_start", "message": "usage"},
        {"choices": [], "usage": usage},
    ):
        meter.feed(b"data: " + dump(body))
    assert not meter.exact


def test_cached_tokens_are_never_more_than_the_prompt() -> None:
    meter = ChatMeter()
    details = {"cached_tokens": 500, "cache_write_tokens": 500}
    usage = {"prompt_tokens": 100, "completion_tokens": 1, "prompt_tokens_details": details}
    meter.plain(dump({"usage": usage}))
    assert meter.tokens == Usage(input=100, cached=100, output=1)


# Whatever a model writes, it can't end the call, fail it, or bill it.
LITERALS = (
    '"usage": {"prompt_tokens": 1, "completion_tokens": 1}', "data: [DONE]\n\n", "[DONE]",
    '\n\ndata: {"error": {"message": "x"}}\n\n', "event: error\n\n", "event: message_stop\n\n",
    'event: message_stop\r\ndata: {"type":"message_stop"}\r\n\r\n', "\\", '\\"',
    '{"type":"message_delta","usage":{"output_tokens":0}}', '","usage":{"output_tokens":1},"x":"',
)  # fmt: skip
generated = st.lists(st.one_of(st.sampled_from(LITERALS), st.text(max_size=20))).map("".join)


@given(generated)
def test_generated_text_fools_no_meter(text: str) -> None:
    openai = ChatMeter(hide_usage=True)
    event = b"data: " + dump({"choices": [{"delta": {"content": text}}], "usage": None})
    assert openai.feed(event) == event
    anthropic = MessagesMeter()
    delta = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}}
    event = b"event: content_block_delta\ndata: " + dump(delta)
    assert anthropic.feed(event) == event
    for meter in (openai, anthropic):
        assert not meter.done
        assert not meter.failed
        assert not meter.exact
        assert meter.text_bytes == len(json.dumps(text, ensure_ascii=False).encode()) - 2


MARKS = {
    "OpenAI": (ChatMeter, [b"data: [DONE]", b"data:[DONE]", b"data:  [DONE] "]),
    "Anthropic": (
        MessagesMeter,
        [b'event: message_stop\ndata: {"type":"message_stop"}', b"event:message_stop\ndata:{}"],
    ),
}


@pytest.mark.parametrize(("make", "marks"), MARKS.values(), ids=MARKS)
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=repr)
@pytest.mark.parametrize("before", [b"", b": ping\n\n", b'data: {"x":1}\n\n'], ids=repr)
def test_end_marks(make: type[Meter], marks: list[bytes], end: bytes, before: bytes) -> None:
    for mark in marks:
        meter = make()
        meter.feed((before + mark + b"\n\n").replace(b"\n", end))
        assert meter.done, mark


ERRORS = [
    b'data: {"error": {"message": "x"}}\n\n',
    b'data:{"error":{"message":"x"}}\n\n',
    b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"}}\n\n',
    b'event:error\ndata: {"type":"error"}\n\n',
]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=repr)
@pytest.mark.parametrize("error", ERRORS, ids=range(len(ERRORS)))
def test_an_error_ends_it_and_what_came_before_counts(error: bytes, end: bytes) -> None:
    good = b'data: {"choices":[{"delta":{"content":"12345"}}]}\n\n'
    meter = ChatMeter()
    data = (good + error + good).replace(b"\n", end)
    assert meter.feed(data) == good.replace(b"\n", end)
    assert (meter.failed, meter.text_bytes, meter.events_seen) == (True, 5, True)


@pytest.mark.parametrize("error", ERRORS, ids=range(len(ERRORS)))
def test_an_error_alone_is_no_event_that_is_owed(error: bytes) -> None:
    meter = ChatMeter()
    assert meter.feed(error) == b""
    assert (meter.failed, meter.events_seen) == (True, False)


def test_a_comment_is_no_event() -> None:
    meter = ChatMeter()
    assert meter.feed(b": data: OPENROUTER PROCESSING\n\n") == b": data: OPENROUTER PROCESSING\n\n"
    assert not meter.events_seen
    meter.feed(b'data: {"choices":[]}\n\n')
    assert meter.events_seen


def dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"
