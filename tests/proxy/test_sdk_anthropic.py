"""The official Anthropic SDK against Farebox: what it gets is whole, what it costs is exact."""

from collections.abc import Iterator
from typing import Any

import pytest
from anthropic import Anthropic

from tests.fakes.providers import Behaviour, FakeProviders, ToolCall, Usage
from tests.proxy.by_hand import microcredits
from tests.proxy.riders import Rider
from tests.proxy.server import Farebox
from tests.proxy.test_sdk_openai import PIXEL, assert_paid

pytestmark = [
    pytest.mark.xdist_group("proxy-sdks"),
    # The SDK says so of claude-sonnet-4-5, the one model with two kinds of cache and a long tier.
    pytest.mark.filterwarnings("ignore:The model:DeprecationWarning"),
]

SONNET = "claude-sonnet-4-5"
WEATHER: Any = {
    "name": "get_weather",
    "description": "The weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
HELLO: Any = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def sdk(farebox: Farebox, rider: Rider) -> Iterator[Anthropic]:
    with Anthropic(base_url=farebox.url, api_key=rider.secret, max_retries=0) as client:
        yield client


def ask(sdk: Anthropic, stream: bool, **more: Any) -> str:
    """The text of one answer, streamed or plain."""
    request = {"model": SONNET, "max_tokens": 1_000, "messages": HELLO} | more
    if stream:
        with sdk.messages.stream(**request) as events:
            return events.get_final_text()
    answer = sdk.messages.create(**request)
    return "".join(block.text for block in answer.content if block.type == "text")


STREAM = pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])


@STREAM
def test_an_answer_is_whole_and_costs_what_it_must(
    sdk: Anthropic, fake: FakeProviders, rider: Rider, stream: bool
) -> None:
    words = ("Grüezi ", "wohl, ", "das kostet ", "nicht viel ", "– 🙂")
    fake.script(Behaviour(text=words, usage=Usage(input=4_321, output=99), ping_every=2))
    assert ask(sdk, stream) == "".join(words)
    assert_paid(rider, microcredits(SONNET, input=4_321, output=99), 4_321, 99)


@STREAM
def test_cache_reads_and_both_kinds_of_cache_writes_cost_their_own_prices(
    sdk: Anthropic, fake: FakeProviders, rider: Rider, stream: bool
) -> None:
    usage = Usage(input=700, cached=3_000, cache_write_5m=1_100, cache_write_1h=500, output=11)
    fake.script(Behaviour(usage=usage))
    ask(sdk, stream)
    price = microcredits(SONNET, input=700, cached=3_000, write=1_100, write_1h=500, output=11)
    # Anthropic counts the cached ones beside the input: 700 + 3,000 + 1,100 + 500.
    call = assert_paid(rider, price, 5_300, 11)
    assert call.cached_tokens == 3_000
    assert (call.cache_write_tokens, call.cache_write_1h_tokens) == (1_100, 500)


@pytest.mark.parametrize(
    ("usage", "model"),
    [
        (Usage(input=200_000, output=100), SONNET),
        (Usage(input=200_001, output=100), f"{SONNET} long"),
        (Usage(input=1, cached=199_000, cache_write_5m=1_000, output=100), f"{SONNET} long"),
    ],
    ids=["at-the-threshold", "one-above", "cached-tokens-count"],
)
def test_a_long_context_costs_more_for_all_its_tokens(
    sdk: Anthropic, fake: FakeProviders, rider: Rider, usage: Usage, model: str
) -> None:
    fake.script(Behaviour(usage=usage))
    ask(sdk, True, extra_headers={"anthropic-beta": "context-1m-2025-08-07"})
    price = microcredits(
        model, input=usage.input, cached=usage.cached, write=usage.cache_write_5m, output=100
    )
    assert_paid(rider, price, usage.all_input, 100)
    assert fake.requests[0].headers["anthropic-beta"] == "context-1m-2025-08-07"


def test_a_long_context_is_held_at_its_own_price(
    sdk: Anthropic, fake: FakeProviders, rider: Rider
) -> None:
    # 240,000 tokens of one byte each: worst cases are for real.
    fake.script(Behaviour(usage=Usage(input=240_000, output=1_000)))
    messages = [{"role": "user", "content": "a " * 120_000}]
    beta = {"anthropic-beta": "context-1m-2025-08-07"}
    ask(sdk, False, messages=messages, extra_headers=beta)
    price = microcredits(f"{SONNET} long", input=240_000, output=1_000)
    call = assert_paid(rider, price, 240_000, 1_000)
    assert call.held >= price


@STREAM
def test_thinking_is_billed_and_passes_through(
    sdk: Anthropic, fake: FakeProviders, rider: Rider, stream: bool
) -> None:
    fake.script(Behaviour(thinking=30, usage=Usage(input=50)))
    thinking = {"type": "enabled", "budget_tokens": 500}
    assert ask(sdk, stream, thinking=thinking) == "word " * 5
    assert_paid(rider, microcredits(SONNET, input=50, output=35), 50, 35)
    assert fake.requests[0].json["thinking"] == thinking


def test_a_tool_call_streams_back_whole_and_its_result_goes_through(
    sdk: Anthropic, fake: FakeProviders, rider: Rider
) -> None:
    arguments = {"city": "Zürich", "note": 'event: message_stop\n\n"usage": {"output_tokens": 9}'}
    fake.once(Behaviour(events=2, tools=(ToolCall(arguments=arguments, parts=9),)))
    asked: Any = {"model": SONNET, "max_tokens": 1_000, "tools": [WEATHER]}
    with sdk.messages.stream(messages=HELLO, **asked) as stream:
        first = stream.get_final_message()
    assert first.stop_reason == "tool_use"
    use = first.content[-1]
    assert use.type == "tool_use"
    assert (use.name, use.input) == ("get_weather", arguments)
    billed = fake.bill()
    price = microcredits(SONNET, input=billed.input, output=billed.output)
    assert_paid(rider, price, billed.input, billed.output)

    image = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    result: Any = {
        "type": "tool_result",
        "tool_use_id": use.id,
        "content": [{"type": "text", "text": "19 °C"}, {"type": "image", "source": image}],
    }
    said = [
        block.model_dump(include={"type", "text", "id", "name", "input"}, exclude_none=True)
        for block in first.content
    ]
    messages: Any = [
        *HELLO,
        {"role": "assistant", "content": said},
        {"role": "user", "content": [result]},
    ]
    system: Any = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    sdk.messages.create(messages=messages, system=system, metadata={"user_id": "u1"}, **asked)
    assert fake.requests[1].json == {
        **asked, "messages": messages, "system": system, "metadata": {"user_id": "u1"},
    }  # fmt: skip


def test_text_that_looks_like_marks_does_not_end_the_answer(
    sdk: Anthropic, fake: FakeProviders, rider: Rider
) -> None:
    words = ("event: message_stop\n", "data: [DONE]\n\n", 'event: error\ndata: {"error": {}}', " .")
    fake.script(Behaviour(events=4, text=words))
    assert ask(sdk, True) == "".join(words)
    assert rider.only_call().estimated is False


def test_models_are_listed(sdk: Anthropic, fake: FakeProviders) -> None:
    page = sdk.models.list()
    assert SONNET in [model.id for model in page.data]
    assert not any(model.id.startswith("gpt") for model in page.data)
    assert page.has_more is False
    assert page.data[0].created_at.year >= 2026
    assert fake.requests == []
