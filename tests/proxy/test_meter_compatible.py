"""What the meter reads out of the providers that speak like OpenAI: golden shapes of each.

Every stream is cut down to the events that matter; names, numbers and places are as published.
"""

import json
from typing import Any

import pytest

from proxy.meter import ChatMeter, EmbeddingsMeter
from usage.prices import Usage


def chunk(delta: Any = None, finish: str | None = None, /, **more: Any) -> dict[str, Any]:
    """An event with one choice; ``choice`` adds to that, the rest to the event."""
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish, **more.pop("choice", {})}
    return {"id": "c1", "object": "chat.completion.chunk", "model": "m", "choices": [choice]} | more


def said(text: str) -> dict[str, Any]:
    return chunk({"role": "assistant", "content": text})


def feed(meter: ChatMeter, *events: Any) -> bytes:
    parts = [b"data: " + (e if isinstance(e, bytes) else dump(e)) + b"\n\n" for e in events]
    return b"".join(meter.feed(part) for part in parts)


def dump(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


END = b"[DONE]"
# Each stream's last words of usage, and what is to be billed.
STREAMS: dict[str, tuple[list[Any], Usage]] = {
    "openai, with audio and a prediction": (
        [
            said("Hello"),
            {"choices": [], "usage": {
                "prompt_tokens": 1_117, "completion_tokens": 46, "total_tokens": 1_163,
                "prompt_tokens_details": {"cached_tokens": 1_024, "audio_tokens": 12},
                "completion_tokens_details": {
                    "reasoning_tokens": 10, "audio_tokens": 5,
                    "accepted_prediction_tokens": 9, "rejected_prediction_tokens": 4,
                },
            }},
        ],
        Usage(input=1_117, cached=1_024, output=46, reasoning=10),
    ),
    "deepseek": (
        [
            chunk({"reasoning_content": "Hm"}), said("Hello"),
            chunk({"content": ""}, "stop", usage={
                "prompt_tokens": 300, "completion_tokens": 90, "total_tokens": 390,
                "prompt_cache_hit_tokens": 256, "prompt_cache_miss_tokens": 44,
                "completion_tokens_details": {"reasoning_tokens": 70},
            }),
        ],
        Usage(input=300, cached=256, output=90, reasoning=70),
    ),
    "mistral": (
        [
            said("Hello"),
            chunk({"content": ""}, "stop", usage={
                "prompt_tokens": 10, "total_tokens": 30, "completion_tokens": 20,
                "prompt_audio_seconds": None,
            }),
        ],
        Usage(input=10, output=20),
    ),
    "openrouter": (
        [
            {**said("Hello"), "provider": "Anthropic"},
            chunk({"role": "assistant", "content": ""}, None, usage={
                "prompt_tokens": 2_050, "completion_tokens": 40, "total_tokens": 2_090,
                "cost": 0.0021, "is_byok": False, "cost_details": {"upstream_inference_cost": None},
                "prompt_tokens_details": {
                    "cached_tokens": 1_900, "cache_write_tokens": 100, "audio_tokens": 0,
                },
                "completion_tokens_details": {"reasoning_tokens": 12, "image_tokens": 0},
            }),
        ],
        Usage(input=2_050, cached=1_900, cache_write=100, output=40, reasoning=12),
    ),
    "groq": (
        [
            chunk({"role": "assistant", "content": "Hello"}, x_groq={"id": "req_01"}),
            chunk({}, "stop", x_groq={"id": "req_01", "usage": {
                "queue_time": 0.075, "prompt_tokens": 23, "prompt_time": 0.006,
                "completion_tokens": 19, "completion_time": 0.02, "total_tokens": 42,
                "total_time": 0.028, "prompt_tokens_details": {"cached_tokens": 8},
            }}),
        ],
        Usage(input=23, cached=8, output=19),
    ),
    "kimi": (
        [
            said("Hello"),
            chunk({}, "stop", choice={"usage": {
                "prompt_tokens": 19, "completion_tokens": 13, "total_tokens": 32,
                "cached_tokens": 7,
            }}),
        ],
        Usage(input=19, cached=7, output=13),
    ),
    "vllm": (
        [
            chunk({"reasoning": "Hm"}), said("Hello"),
            {"choices": [], "usage": {
                "prompt_tokens": 12, "total_tokens": 20, "completion_tokens": 8,
                "prompt_tokens_details": None,
            }},
        ],
        Usage(input=12, output=8),
    ),
    "ollama": (
        [
            said("Hello"), chunk({"role": "assistant", "content": ""}, "stop"),
            {"choices": [], "usage": {
                "prompt_tokens": 26, "completion_tokens": 298, "total_tokens": 324,
            }},
        ],
        Usage(input=26, output=298),
    ),
    "xai, whose reasoning is beside the completion": (
        [
            said("Hello"),
            {"choices": [], "usage": {
                "prompt_tokens": 12, "completion_tokens": 1, "total_tokens": 399,
                "prompt_tokens_details": {"text_tokens": 12, "cached_tokens": 3},
                "completion_tokens_details": {"reasoning_tokens": 386}, "num_sources_used": 0,
            }},
        ],
        Usage(input=12, cached=3, output=387, reasoning=386),
    ),
    "gemini, in every event and with thoughts in the total alone": (
        [
            {**said("Hel"), "usage": {
                "completion_tokens": 2, "prompt_tokens": 20, "total_tokens": 427,
            }},
            {**chunk({"content": "lo"}, "stop"), "usage": {
                "completion_tokens": 198, "prompt_tokens": 20, "total_tokens": 623,
            }},
        ],
        Usage(input=20, output=603, reasoning=405),
    ),
    "gemini, that thought until its bound": (
        [
            {**chunk({"content": ""}, "length"), "usage": {
                "prompt_tokens": 21, "total_tokens": 81,
            }},
        ],
        Usage(input=21, output=60, reasoning=60),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("events", "tokens"), STREAMS.values(), ids=STREAMS)
def test_a_stream(events: list[Any], tokens: Usage) -> None:
    meter = ChatMeter()
    feed(meter, *events, END)
    assert meter.tokens == tokens
    assert (meter.exact, meter.done, meter.failed) == (True, True, False)
    buckets = meter.tokens.buckets()
    assert min(buckets.values()) >= 0
    assert sum(buckets.values()) == tokens.input + tokens.output


@pytest.mark.parametrize("name", [name for name in STREAMS if name not in {"groq", "kimi"}])
def test_the_same_usage_in_a_plain_answer(name: str) -> None:
    """Those two have a place of their own in streams alone."""
    events, tokens = STREAMS[name]
    answer = {"choices": [{"message": {"content": "Hello"}}], "usage": events[-1]["usage"]}
    meter = ChatMeter()
    meter.plain(dump(answer))
    assert (meter.tokens, meter.exact) == (tokens, True)


def test_only_an_event_of_usage_alone_is_hidden() -> None:
    """What comes beside a choice is passed on with it."""
    for name, (events, _) in STREAMS.items():
        meter = ChatMeter(hide_usage=True)
        shown = feed(meter, *events, END)
        assert meter.exact, name
        kept = [event for event in events if event["choices"]]
        assert shown == feed(ChatMeter(), *kept, END), name


def test_what_comes_after_a_report_is_not_in_it() -> None:
    """A stream that breaks off between two reports is estimated, at no less than the last."""
    meter = ChatMeter()
    reported, _ = STREAMS["gemini, in every event and with thoughts in the total alone"][0]
    feed(meter, reported)
    assert (meter.exact, meter.tokens.output) == (True, 407)
    feed(meter, said("more and more"))
    assert (meter.exact, meter.output_exact, meter.input_known) == (False, False, True)
    assert meter.text_bytes == len("Hel" + "more and more")


def test_without_a_report_the_text_is_counted() -> None:
    meter = ChatMeter()
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "12345"}]},
             {"type": "text", "text": "678"}]  # fmt: skip
    feed(meter, chunk({"content": parts}), chunk({"reasoning": "ab", "reasoning_details": [
        {"type": "reasoning.text", "text": "ab"}]}), END)  # fmt: skip
    assert (meter.exact, meter.done, meter.text_bytes) == (False, True, len("12345678ab"))


@pytest.mark.parametrize(
    "event",
    [
        chunk({"content": ""}, "error", error={"code": "server_error", "message": "gone"}),
        chunk({"content": ""}, "error"),
    ],
    ids=["openrouter", "mistral"],
)
def test_a_choice_that_ends_in_an_error_is_an_error(event: Any) -> None:
    meter = ChatMeter()
    assert feed(meter, said("Hello"), event) == feed(ChatMeter(), said("Hello"))
    assert (meter.failed, meter.done, meter.text_bytes) == (True, False, 5)
    told = ChatMeter()
    feed(told, said('"finish_reason": "error"'))
    assert not told.failed, "said, not meant"


EMBEDDINGS: dict[str, tuple[Any, int]] = {
    "openai": ({"prompt_tokens": 8, "total_tokens": 8}, 8),
    "mistral": ({"prompt_tokens": 15, "completion_tokens": 0, "total_tokens": 15}, 15),
    "vllm": (
        {"prompt_tokens": 9, "total_tokens": 9, "completion_tokens": 0,
         "prompt_tokens_details": None}, 9,
    ),
    "voyage": ({"total_tokens": 10}, 10),
}  # fmt: skip


@pytest.mark.parametrize(("usage", "tokens"), EMBEDDINGS.values(), ids=EMBEDDINGS)
def test_embeddings(usage: Any, tokens: int) -> None:
    meter = EmbeddingsMeter()
    data = [{"object": "embedding", "index": 0, "embedding": [0.1]}]
    meter.plain(dump({"object": "list", "data": data, "usage": usage}))
    assert (meter.tokens, meter.exact) == (Usage(input=tokens), True)


def test_what_a_custom_tool_is_called_with_is_generated_text() -> None:
    """Whoever leaves before usage is reported pays for it, as for any other text."""

    def called(**custom: str) -> dict[str, Any]:
        return chunk({"tool_calls": [{"index": 0, "type": "custom", "custom": custom}]})

    meter = ChatMeter()
    feed(meter, chunk({"role": "assistant"}), called(name="run", input=""))
    assert meter.skim(b"data: " + dump(called(input="print(1)")) + b"\n\n")
    assert (meter.text_bytes, meter.text_events) == (8, 1)
    plain = ChatMeter()
    plain.plain(dump({"choices": [{"message": {"tool_calls": [
        {"id": "c", "type": "custom", "custom": {"name": "run", "input": "print(1)"}}
    ]}}]}))  # fmt: skip
    assert plain.text_bytes == 8
