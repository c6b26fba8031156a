"""The fake's Responses, embeddings and counts, as the official SDKs read them."""

from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from tests.fakes.providers import Behaviour, FakeProviders, Fault, ToolCall, Usage

TOOL: Any = {"type": "function", "name": "look", "parameters": {"type": "object"}}


@pytest.fixture
def sdk(fake: FakeProviders) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=fake.openai_base_url, api_key=fake.openai_key, max_retries=0
    ) as client:
        yield client


def test_a_stream_and_a_plain_answer_say_and_cost_the_same(
    sdk: openai.OpenAI, fake: FakeProviders
) -> None:
    fake.script(Behaviour(tools=(ToolCall(),), usage=Usage(input=7, cached=3, reasoning=4)))
    plain = sdk.responses.create(model="gpt-4o", input="Hello", tools=[TOOL])
    with sdk.responses.stream(model="gpt-4o", input="Hello", tools=[TOOL]) as stream:
        final = stream.get_final_response()
    assert final.output_text == plain.output_text == "word " * 5
    assert [item.type for item in final.output] == ["message", "function_call"]
    for usage in (plain.usage, final.usage):
        assert (usage.input_tokens, usage.input_tokens_details.cached_tokens) == (10, 3)
        assert (usage.output_tokens, usage.output_tokens_details.reasoning_tokens) == (12, 4)
    assert fake.bill().output == 24


def test_a_stream_numbers_its_events_and_fails_in_two(
    sdk: openai.OpenAI, fake: FakeProviders
) -> None:
    numbers = [
        event.sequence_number
        for event in sdk.responses.create(model="gpt-4o", input="Hello", stream=True)
    ]
    assert numbers == list(range(len(numbers)))
    fake.once(Behaviour(fault=Fault.error(2)))
    stream = sdk.responses.create(model="gpt-4o", input="Hello", stream=True)
    with pytest.raises(openai.APIError):
        list(stream)


def test_it_refuses_what_openai_refuses(sdk: openai.OpenAI) -> None:
    for more in ({"max_output_tokens": 15}, {"messages": []}, {"input": None}):
        with pytest.raises(openai.BadRequestError):
            sdk.post("/responses", body={"model": "m", "input": "x"} | more, cast_to=object)
    with pytest.raises(openai.BadRequestError):
        sdk.embeddings.create(model="m", input=[])


def test_embeddings(sdk: openai.OpenAI, fake: FakeProviders) -> None:
    fake.script(Behaviour(usage=Usage(input=12)))
    answer = sdk.embeddings.create(model="m", input=["a", "b"])
    assert [len(one.embedding) for one in answer.data] == [8, 8]
    assert answer.usage.prompt_tokens == 12
    assert (fake.bill().input, fake.bill().output) == (12, 0)


def test_counting_is_free(fake: FakeProviders) -> None:
    with anthropic.Anthropic(
        base_url=fake.anthropic_base_url, api_key=fake.anthropic_key, max_retries=0
    ) as sdk:
        talk: Any = [{"role": "user", "content": "Hello"}]
        assert sdk.messages.count_tokens(model="claude-haiku-4-5", messages=talk).input_tokens == 10
        with pytest.raises(anthropic.BadRequestError):
            sdk.messages.count_tokens(model="m", messages=talk, extra_body={"max_tokens": 5})
    assert (fake.bill().input, fake.bill().output) == (0, 0)
