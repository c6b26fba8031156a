"""OpenAI's protocol, as its own SDK and a bare client see it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.fakes.providers import Behaviour, FakeProviders, ToolCall, Usage

from .raw import SAY_HI, exchange, post, request

WEATHER = [
    {
        "type": "function",
        "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}},
    }
]


@pytest.fixture
def client(fake: FakeProviders) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=fake.openai_base_url, api_key=fake.openai_key, max_retries=0
    ) as client:
        yield client


def stream(client: openai.OpenAI, **fields: Any) -> list[Any]:
    asked = {"model": "gpt-4o-mini", "messages": SAY_HI, "stream": True}
    return list(client.chat.completions.create(**(asked | fields)))


def with_usage(client: openai.OpenAI, **fields: Any) -> list[Any]:
    return stream(client, stream_options={"include_usage": True}, **fields)


def test_streams_text(fake: FakeProviders, client: openai.OpenAI) -> None:
    fake.script(Behaviour(events=3, text=("Grüß ", "dich", "!")))
    chunks = stream(client)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == "Grüß dich!"
    assert [c.choices[0].finish_reason for c in chunks] == [None] * 4 + ["stop"]
    assert len({c.id for c in chunks}) == 1


def test_usage_comes_last_and_only_when_asked_for(
    fake: FakeProviders, client: openai.OpenAI
) -> None:
    fake.script(Behaviour(events=4, usage=Usage(input=70, cached=30, output=50, reasoning=20)))
    *before, last = with_usage(client)
    assert last.choices == []
    assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (100, 50)
    assert last.usage.total_tokens == 150
    assert last.usage.prompt_tokens_details.cached_tokens == 30
    assert last.usage.completion_tokens_details.reasoning_tokens == 20
    assert all(c.model_dump(exclude_unset=True)["usage"] is None for c in before)
    assert all("usage" not in c.model_dump(exclude_unset=True) for c in stream(client))


def test_usage_can_be_left_out_but_is_billed(fake: FakeProviders, client: openai.OpenAI) -> None:
    fake.script(Behaviour(events=4, report_usage=False))
    assert all(c.choices and c.usage is None for c in with_usage(client))
    assert client.chat.completions.create(model="m", messages=SAY_HI).usage is None
    assert (fake.bill().input, fake.bill().output) == (20, 8)


def test_answers_plainly(fake: FakeProviders, client: openai.OpenAI) -> None:
    fake.script(Behaviour(events=2, text="ja ", tokens_per_event=3))
    answer = client.chat.completions.create(model="gpt-4o", messages=SAY_HI)
    assert (answer.object, answer.model) == ("chat.completion", "gpt-4o")
    assert answer.choices[0].message.content == "ja ja "
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (10, 6)


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_respects_the_limit(fake: FakeProviders, client: openai.OpenAI, field: str) -> None:
    fake.script(Behaviour(events=10, text="abc", tokens_per_event=3))
    *chunks, finish, usage = with_usage(client, **{field: 7})
    assert "".join(c.choices[0].delta.content for c in chunks) == "abcabca"
    assert finish.choices[0].finish_reason == "length"
    assert usage.usage.completion_tokens == fake.bill().output == 7


def test_streams_tool_calls(fake: FakeProviders, client: openai.OpenAI) -> None:
    arguments = {"city": "Zürich", "days": 3}
    fake.script(
        Behaviour(events=1, tools=(ToolCall(arguments=arguments, parts=4), ToolCall(name="two")))
    )
    chunks = stream(client, tools=WEATHER)
    deltas = [d for c in chunks for d in c.choices[0].delta.tool_calls or ()]
    opened = [(d.index, d.type, d.function.name) for d in deltas if d.id]
    assert opened == [(0, "function", "get_weather"), (1, "function", "two")]
    said = "".join(d.function.arguments for d in deltas if d.index == 0)
    assert json.loads(said) == arguments
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_calls_tools_plainly_and_only_when_offered(
    fake: FakeProviders, client: openai.OpenAI
) -> None:
    fake.script(Behaviour(events=0, tools=(ToolCall(arguments={"a": 1}),)))
    choice = client.chat.completions.create(model="m", messages=SAY_HI, tools=WEATHER).choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    assert json.loads(choice.message.tool_calls[0].function.arguments) == {"a": 1}
    choice = client.chat.completions.create(model="m", messages=SAY_HI).choices[0]
    assert (choice.finish_reason, choice.message.tool_calls) == ("stop", None)


def test_each_choice_is_billed(fake: FakeProviders, client: openai.OpenAI) -> None:
    fake.script(Behaviour(events=3, usage=Usage(output=6, reasoning=3)))
    chunks = with_usage(client, n=2)
    assert {c.choices[0].index for c in chunks[:-1]} == {0, 1}
    assert chunks[-1].usage.completion_tokens == fake.bill().output == 12
    assert chunks[-1].usage.completion_tokens_details.reasoning_tokens == 6
    assert fake.bill().reasoning == 6


def test_thinking_is_hidden_reasoning(fake: FakeProviders, client: openai.OpenAI) -> None:
    fake.script(Behaviour(events=2, thinking=4))
    *chunks, usage = with_usage(client)
    assert len([c for c in chunks if c.choices[0].delta.content]) == 2
    assert usage.usage.completion_tokens == 6
    assert usage.usage.completion_tokens_details.reasoning_tokens == 4


def test_lists_models(fake: FakeProviders, client: openai.OpenAI) -> None:
    assert "gpt-4o-mini" in [model.id for model in client.models.list()]
    assert client.models.retrieve("gpt-4o").object == "model"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-none")


@pytest.mark.parametrize(
    "status, exception",
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
def test_errors_raise_what_the_sdk_has_for_them(
    fake: FakeProviders, client: openai.OpenAI, status: int, exception: type[openai.APIStatusError]
) -> None:
    fake.script(Behaviour(status=status, retry_after="7"))
    with pytest.raises(exception) as caught:
        stream(client)
    assert caught.value.status_code == status
    assert caught.value.response.headers["retry-after"] == "7"
    assert caught.value.request_id
    assert set(caught.value.body) == {"message", "type", "param", "code"}
    assert fake.bill().output == fake.bill().input == 0


def test_a_refused_key_is_shown_in_part(fake: FakeProviders, client: openai.OpenAI) -> None:
    wrong = openai.OpenAI(base_url=fake.openai_base_url, api_key="sk-wrong-0123456789abcd")
    with pytest.raises(openai.AuthenticationError, match=r"sk-wrong-01\*+abcd"), wrong:
        wrong.models.list()
    fake.script(Behaviour(status=401))
    with pytest.raises(openai.AuthenticationError, match=fake.openai_key[:11]) as caught:
        stream(client)
    assert caught.value.code == "invalid_api_key"


@pytest.mark.parametrize(
    "fields, param",
    [
        ({"stream": False, "stream_options": {"include_usage": True}}, "stream_options"),
        ({"messages": "hi"}, "messages"),
        ({"max_tokens": 0}, "max_completion_tokens"),
        ({"n": "2"}, "n"),
        ({"model": None}, None),
    ],
)
def test_refuses_bad_fields(fake: FakeProviders, fields: dict[str, Any], param: str) -> None:
    answer = exchange(fake, request(fake, **fields))
    assert answer.status == 400
    assert json.loads(answer.body)["error"]["param"] == param


def test_refuses_what_is_no_request(fake: FakeProviders) -> None:
    bearer = f"authorization: Bearer {fake.openai_key}"
    path = "/v1/chat/completions"
    for body in (b"{nope", b"[]", b""):
        answer = exchange(fake, post(body, path, bearer))
        assert (answer.status, b"could not parse" in answer.body) == (400, True)
    assert exchange(fake, post(b"{}", path)).status == 401
    assert exchange(fake, post(b"{}", "/v1/none", bearer, version="")).status == 404
    assert exchange(fake, b"nonsense\r\n\r\n").status == 400


async def test_serves_the_asynchronous_client(fake: FakeProviders) -> None:
    async with openai.AsyncOpenAI(base_url=fake.openai_base_url, api_key=fake.openai_key) as client:
        said = await client.chat.completions.create(model="m", messages=SAY_HI, stream=True)
        text = "".join([c.choices[0].delta.content or "" async for c in said])
    assert text == "word " * 5
