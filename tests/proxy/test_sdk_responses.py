"""The official OpenAI SDK's Responses against Farebox: whole answers, exact prices, its errors."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.fakes.providers import Behaviour, FakeProviders, Fault, ToolCall, Usage
from tests.proxy.by_hand import microcredits
from tests.proxy.riders import CREDIT, Rider, make_rider
from tests.proxy.server import Farebox
from tests.proxy.test_sdk_openai import assert_paid

pytestmark = pytest.mark.xdist_group("proxy-sdks")
STREAM = pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@pytest.fixture
def sdk(farebox: Farebox, rider: Rider) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{farebox.url}/v1", api_key=rider.secret, max_retries=0) as client:
        yield client


def test_a_stream_is_whole_and_costs_what_it_must(
    sdk: OpenAI, fake: FakeProviders, rider: Rider
) -> None:
    words = ("Grüezi ", "event: response.completed\n\n", '"usage": {"input_tokens": 9}', " 🙂", ".")
    fake.script(Behaviour(text=words, usage=Usage(input=1_234, output=57, reasoning=20)))
    with sdk.responses.stream(model="gpt-4o-mini", input="Hello") as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert final.output_text == "".join(words)
    assert final.status == "completed"
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
    assert kinds.count("response.output_text.delta") == 5
    call = assert_paid(rider, microcredits("gpt-4o-mini", input=1_234, output=57), 1_234, 57)
    assert call.reasoning_tokens == 20, "told apart, and paid as the rest of the output"


def test_a_plain_answer_is_whole_and_costs_the_same(
    sdk: OpenAI, fake: FakeProviders, rider: Rider
) -> None:
    fake.script(Behaviour(text="one, two. ", usage=Usage(input=1_234, output=57)))
    answer = sdk.responses.with_raw_response.create(model="gpt-4o-mini", input="Hello", store=True)
    call = assert_paid(rider, microcredits("gpt-4o-mini", input=1_234, output=57), 1_234, 57)
    assert answer.parse().output_text == "one, two. " * 5
    assert answer.headers["x-farebox-call"] == answer.headers["x-request-id"] == str(call.id)
    assert call.protocol == "responses"
    assert fake.requests[0].json["store"] is True


@STREAM
def test_cached_and_written_tokens_cost_their_own_price(
    sdk: OpenAI, fake: FakeProviders, rider: Rider, stream: bool
) -> None:
    fake.script(Behaviour(usage=Usage(input=100, cached=50, cache_write_5m=2_000, output=11)))
    answer = sdk.responses.create(model="gpt-5.6-luna", input="Hello", stream=stream)
    if stream:
        list(answer)
    price = microcredits("gpt-5.6-luna", input=100, cached=50, write=2_000, output=11)
    call = assert_paid(rider, price, 2_150, 11)
    assert (call.cached_tokens, call.cache_write_tokens) == (50, 2_000)


@STREAM
def test_an_answer_cut_off_by_its_bound_is_whole(
    sdk: OpenAI, fake: FakeProviders, rider: Rider, stream: bool
) -> None:
    fake.script(Behaviour(events=40, usage=Usage(input=30)))
    asked: dict[str, Any] = {"model": "gpt-4o-mini", "input": "Hello", "max_output_tokens": 16}
    answer = sdk.responses.create(**asked, stream=stream)
    if stream:
        *_, last = answer
        assert last.type == "response.incomplete"
        answer = last.response
    assert answer.incomplete_details.reason == "max_output_tokens"
    call = assert_paid(rider, microcredits("gpt-4o-mini", input=30, output=16), 30, 16)
    assert call.held >= microcredits("gpt-4o-mini", output=16)


def test_a_tool_call_and_its_result_go_through(
    sdk: OpenAI, fake: FakeProviders, rider: Rider
) -> None:
    arguments = {"city": "Zürich", "unit": 'quoted "usage": {"input_tokens": 999999}'}
    fake.once(Behaviour(events=2, tools=(ToolCall(arguments=arguments, parts=9),)))
    with sdk.responses.stream(model="gpt-4o-mini", input="Hello", tools=[WEATHER]) as stream:
        first = stream.get_final_response()
    made = next(item for item in first.output if item.type == "function_call")
    assert json.loads(made.arguments) == arguments
    items: Any = [
        {"role": "user", "content": "Hello"},
        *(item.model_dump(exclude_none=True) for item in first.output),
        {"type": "function_call_output", "call_id": made.call_id, "output": "19 °C"},
    ]
    second = sdk.responses.create(model="gpt-4o-mini", input=items, tools=[WEATHER])
    assert second.output_text
    assert fake.requests[1].json["input"] == json.loads(json.dumps(items))
    assert len(rider.calls()) == 2


def test_without_a_bound_the_wallet_bounds_the_output(
    farebox: Farebox, fake: FakeProviders, clean_books: bool
) -> None:
    poor = make_rider(credits=CREDIT // 50)
    with OpenAI(base_url=f"{farebox.url}/v1", api_key=poor.secret, max_retries=0) as sdk:
        sdk.responses.create(model="gpt-4o-mini", input="Hello")
    sent = fake.requests[0].json
    assert 16 <= sent["max_output_tokens"] < 16_384
    assert poor.only_call().held <= CREDIT // 50


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "what is stored": ({"previous_response_id": "resp_1"}, "previous_response_id"),
    "a conversation": ({"conversation": "conv_1"}, "conversation"),
    "a stored prompt": ({"prompt": {"id": "pmpt_1"}}, "prompt"),
    "a stored item": (
        {"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].type",
    ),
    "background": ({"background": True}, "background"),
    "compaction": ({"context_management": [{"type": "compaction"}]}, "context_management"),
    "a tier": ({"service_tier": "priority"}, "service_tier"),
    "a long cache": ({"prompt_cache_options": {"ttl": "12h"}}, "prompt_cache_options.ttl"),
    "tools hidden in an item": (
        {"input": [{"type": "additional_tools", "tools": [{"type": "web_search"}]}]},
        "input[0].tools[0].type",
    ),
    "tools hidden in a namespace": (
        {"tools": [{"type": "namespace", "tools": [{"type": "mcp"}]}]}, "tools[0].tools[0].type",
    ),
    "a shell at the provider's": (
        {"tools": [{"type": "shell", "environment": {"type": "container_auto"}}]}, "tools[0].type",
    ),
    **{
        kind: ({"tools": [WEATHER, {"type": kind}]}, "tools[1].type")
        for kind in ("web_search", "web_search_preview", "file_search", "code_interpreter",
                     "computer", "computer_use_preview", "image_generation", "mcp", "shell",
                     "tool_search", "programmatic_tool_calling", "of_tomorrow")
    },
}  # fmt: skip


def test_what_is_not_priced_by_tokens_is_refused_by_name(
    sdk: OpenAI, fake: FakeProviders, rider: Rider
) -> None:
    for more, param in REFUSED.values():
        body = {"model": "gpt-4o-mini", "input": "Hello"} | more
        with pytest.raises(openai.BadRequestError) as raised:
            sdk.responses.create(**body)
        assert raised.value.param == param
        assert param in raised.value.message
    assert fake.requests == []
    rider.assert_untouched()


def test_tools_of_the_clients_own_side_are_passed_on(
    sdk: OpenAI, fake: FakeProviders, rider: Rider
) -> None:
    tools: Any = [
        WEATHER,
        {"type": "custom", "name": "grammar"},
        {"type": "local_shell"},
        {"type": "apply_patch"},
        {"type": "shell", "environment": {"type": "local"}},
        {"type": "namespace", "name": "n", "description": "d", "tools": [WEATHER]},
        {"type": "tool_search", "execution": "client"},
    ]
    sdk.responses.create(model="gpt-4o-mini", input="Hello", tools=tools, background=False)
    assert fake.requests[0].json["tools"] == tools
    rider.only_call()


def test_a_refusal_names_the_bound_as_responses_call_it(
    farebox: Farebox, fake: FakeProviders, clean_books: bool
) -> None:
    poor = make_rider(credits=CREDIT // 100)
    with (
        OpenAI(base_url=f"{farebox.url}/v1", api_key=poor.secret) as sdk,
        pytest.raises(openai.APIStatusError, match=r"enough for max_output_tokens=\d+") as raised,
    ):
        sdk.responses.create(model="gpt-4o-mini", input="Hello", max_output_tokens=16_000)
    assert raised.value.status_code == 402
    assert fake.requests == []


def test_an_error_before_anything_else_keeps_its_status(
    sdk: OpenAI, fake: FakeProviders, rider: Rider
) -> None:
    """After an early 200."""
    for status, error in ((429, openai.RateLimitError), (500, openai.InternalServerError)):
        fake.once(Behaviour(fault=Fault.error("headers", status=status)))
        with pytest.raises(error):
            sdk.responses.create(model="gpt-4o-mini", input="Hello", stream=True)
    assert rider.spent == 0
