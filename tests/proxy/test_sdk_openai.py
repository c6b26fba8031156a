"""The official OpenAI SDK against Farebox: what it gets is whole, what it costs is exact."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI

from tests.fakes.providers import Behaviour, FakeProviders, ToolCall, Usage
from tests.proxy.by_hand import microcredits
from tests.proxy.riders import Rider
from tests.proxy.server import Farebox
from usage.models import Call

pytestmark = pytest.mark.xdist_group("proxy-sdks")

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
HELLO: Any = [{"role": "user", "content": "Hello"}]
# The smallest PNG there is: one pixel.
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)


@pytest.fixture
def sdk(farebox: Farebox, rider: Rider) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{farebox.url}/v1", api_key=rider.secret, max_retries=0) as client:
        yield client


def assert_paid(rider: Rider, price: int, input_tokens: int, output_tokens: int) -> Call:
    """Receipt, transfer, wallet and month all say the same price."""
    call = rider.only_call()
    assert call.status == Call.Status.COMPLETED
    assert call.estimated is False
    assert (call.input_tokens, call.output_tokens) == (input_tokens, output_tokens)
    assert call.spent == call.cost == price
    assert call.written_off == 0
    assert [transfer.amount for transfer in rider.captures()] == [price]
    assert rider.spent == price
    assert rider.month() == (1, input_tokens, output_tokens, price)
    return call


def test_a_stream_is_whole_and_costs_what_it_must(
    sdk: OpenAI, fake: FakeProviders, rider: Rider
) -> None:
    words = ("Grüezi ", "wohl, ", "das kostet ", "nicht viel ", "– 🙂")
    fake.script(Behaviour(text=words, usage=Usage(input=1_234, output=57)))
    chunks = list(sdk.chat.completions.create(model="gpt-4o-mini", messages=HELLO, stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == "".join(words)
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert_paid(rider, microcredits("gpt-4o-mini", input=1_234, output=57), 1_234, 57)


def test_a_plain_answer_is_whole_and_costs_the_same(
    sdk: OpenAI, fake: FakeProviders, rider: Rider
) -> None:
    fake.script(Behaviour(text="one, two. ", usage=Usage(input=1_234, output=57)))
    answer = sdk.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=HELLO)
    call = assert_paid(rider, microcredits("gpt-4o-mini", input=1_234, output=57), 1_234, 57)
    assert answer.parse().choices[0].message.content == "one, two. " * 5
    assert answer.headers["x-farebox-call"] == str(call.id)
    assert answer.headers["x-request-id"] == str(call.id)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
def test_cached_tokens_cost_their_own_price(
    sdk: OpenAI, fake: FakeProviders, rider: Rider, stream: bool
) -> None:
    # OpenAI counts the cached tokens among the prompt's: 700 + 3,000.
    fake.script(Behaviour(usage=Usage(input=700, cached=3_000, output=11, reasoning=4)))
    answer = sdk.chat.completions.create(model="gpt-4o-mini", messages=HELLO, stream=stream)
    if stream:
        list(answer)
    price = microcredits("gpt-4o-mini", input=700, cached=3_000, output=11)
    call = assert_paid(rider, price, 3_700, 11)
    assert (call.cached_tokens, call.cache_write_tokens) == (3_000, 0)
    assert call.reasoning_tokens == 4


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
def test_cache_writes_cost_their_own_price_where_there_is_one(
    sdk: OpenAI, fake: FakeProviders, rider: Rider, stream: bool
) -> None:
    fake.script(Behaviour(usage=Usage(input=100, cached=50, cache_write_5m=2_000, output=11)))
    answer = sdk.chat.completions.create(model="gpt-5.6-luna", messages=HELLO, stream=stream)
    if stream:
        list(answer)
    price = microcredits("gpt-5.6-luna", input=100, cached=50, write=2_000, output=11)
    call = assert_paid(rider, price, 2_150, 11)
    assert (call.cached_tokens, call.cache_write_tokens) == (50, 2_000)


def test_a_fraction_of_a_microcredit_is_rounded_up_once(
    sdk: OpenAI, fake: FakeProviders, rider: Rider
) -> None:
    # 1 * 0.75 + 1 * 6 = 6.75: seven, where two roundings would make eight.
    fake.script(Behaviour(usage=Usage(input=0, cached=1, output=1)))
    sdk.chat.completions.create(model="gpt-4o-mini", messages=HELLO)
    assert_paid(rider, 7, 1, 1)


def test_a_tool_call_streams_back_whole(sdk: OpenAI, fake: FakeProviders, rider: Rider) -> None:
    arguments = {"city": "Zürich", "unit": 'quoted "usage": {"prompt_tokens": 999999}'}
    fake.script(
        Behaviour(events=2, tools=(ToolCall(arguments=arguments, parts=9),), usage=Usage(input=80))
    )
    with sdk.chat.completions.stream(
        model="gpt-4o-mini", messages=HELLO, tools=[WEATHER]
    ) as stream:
        final = stream.get_final_completion()
    (call,) = final.choices[0].message.tool_calls or []
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == arguments
    assert final.choices[0].finish_reason == "tool_calls"
    output = fake.bill().output
    assert output >= 11
    assert_paid(rider, microcredits("gpt-4o-mini", input=80, output=output), 80, output)
    assert fake.requests[0].json["tools"] == [WEATHER]


def test_a_plain_tool_call_and_its_result_go_through(
    sdk: OpenAI, fake: FakeProviders, rider: Rider
) -> None:
    fake.once(Behaviour(events=0, tools=(ToolCall(),)))
    first = sdk.chat.completions.create(model="gpt-4o-mini", messages=HELLO, tools=[WEATHER])
    (call,) = first.choices[0].message.tool_calls or []
    messages: Any = [
        {"role": "system", "content": "Be brief."},
        *HELLO,
        first.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "19 °C"},
    ]
    second = sdk.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=[WEATHER])
    assert second.choices[0].message.content
    assert fake.requests[1].json["messages"] == messages
    assert len(rider.calls()) == 2


def test_images_and_unknown_fields_pass_through_untouched(
    sdk: OpenAI, fake: FakeProviders, rider: Rider
) -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    messages: Any = [
        {"role": "system", "content": "Sieh hin."},
        {"role": "user", "content": [{"type": "text", "text": "Was ist das?"}, image]},
    ]
    more = {"temperature": 0.25, "seed": 7, "logit_bias": {"50256": -100}, "from_tomorrow": [1]}
    sdk.chat.completions.create(model="gpt-4o-mini", messages=messages, extra_body=more)
    sent = fake.requests[0].json
    assert sent.pop("max_completion_tokens", None) in (None, 16_384)
    assert sent == {"model": "gpt-4o-mini", "messages": messages, **more}
    assert rider.only_call().held >= microcredits("gpt-4o-mini", input=25_501)


def test_the_usage_event_is_hidden_from_who_did_not_ask(
    sdk: OpenAI, fake: FakeProviders, rider: Rider
) -> None:
    for options in ({}, {"stream_options": None}, {"stream_options": {"include_usage": False}}):
        chunks = list(
            sdk.chat.completions.create(model="gpt-4o-mini", messages=HELLO, stream=True, **options)
        )
        assert all(len(chunk.choices) == 1 for chunk in chunks)
        assert not any(chunk.usage for chunk in chunks)
        assert fake.requests[-1].json["stream_options"]["include_usage"] is True


def test_the_usage_event_is_shown_to_who_asked(
    sdk: OpenAI, fake: FakeProviders, rider: Rider
) -> None:
    fake.script(Behaviour(usage=Usage(input=30, cached=4, output=9)))
    chunks = list(
        sdk.chat.completions.create(
            model="gpt-4o-mini",
            messages=HELLO,
            stream=True,
            stream_options={"include_usage": True, "include_obfuscation": False},
        )
    )
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (34, 9)
    asked = fake.requests[0].json["stream_options"]
    assert asked == {"include_usage": True, "include_obfuscation": False}
    rider.only_call()


def test_several_choices_are_billed_together(
    sdk: OpenAI, fake: FakeProviders, rider: Rider
) -> None:
    fake.script(Behaviour(usage=Usage(input=20, output=50)))
    answer = sdk.chat.completions.create(model="gpt-4o-mini", messages=HELLO, n=3, max_tokens=60)
    assert len(answer.choices) == 3
    call = assert_paid(rider, microcredits("gpt-4o-mini", input=20, output=150), 20, 150)
    assert call.held >= microcredits("gpt-4o-mini", output=180)


def test_models_are_listed(sdk: OpenAI, fake: FakeProviders) -> None:
    listed = {model.id: model.owned_by for model in sdk.models.list()}
    assert listed["gpt-4o-mini"] == "openai"
    assert not any(name.startswith("claude") for name in listed)
    assert fake.requests == []


def test_a_dated_name_is_priced_as_its_model_and_sent_as_given(
    sdk: OpenAI, fake: FakeProviders, rider: Rider
) -> None:
    fake.script(Behaviour(usage=Usage(input=1_000, output=10)))
    sdk.chat.completions.create(model="gpt-4o-mini-2024-07-18", messages=HELLO)
    assert fake.requests[0].json["model"] == "gpt-4o-mini-2024-07-18"
    call = assert_paid(rider, microcredits("gpt-4o-mini", input=1_000, output=10), 1_000, 10)
    assert call.model == "gpt-4o-mini"
