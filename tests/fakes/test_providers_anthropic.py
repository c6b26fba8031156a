"""Anthropic's protocol, as its own SDK and a bare client see it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from tests.fakes.providers import Behaviour, FakeProviders, ToolCall, Usage

from .raw import SAY_HI, exchange, post, request

ASK: dict[str, Any] = {"model": "claude-haiku-4-5", "max_tokens": 1000, "messages": SAY_HI}
WEATHER = [{"name": "get_weather", "input_schema": {"type": "object", "properties": {}}}]
CACHED = Usage(input=40, cached=300, cache_write_5m=20, cache_write_1h=5, output=30, reasoning=0)


@pytest.fixture
def client(fake: FakeProviders) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(
        base_url=fake.anthropic_base_url, api_key=fake.anthropic_key, max_retries=0
    ) as client:
        yield client


def final(client: anthropic.Anthropic, **fields: Any) -> Any:
    with client.messages.stream(**(ASK | fields)) as stream:
        return stream.get_final_message()


def test_streams_text_in_the_published_order(
    fake: FakeProviders, client: anthropic.Anthropic
) -> None:
    fake.script(Behaviour(events=2, text=("Grüß ", "dich")))
    answer = exchange(fake, request(fake, path="/v1/messages"))
    named = [line[7:] for line in answer.body.decode().split("\n") if line[:7] == "event: "]
    assert named == [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    message = final(client)
    assert (message.content[0].text, message.stop_reason) == ("Grüß dich", "end_turn")


def test_usage_counts_caches_beside_the_input(
    fake: FakeProviders, client: anthropic.Anthropic
) -> None:
    fake.script(Behaviour(events=3, usage=CACHED))
    for usage in (final(client).usage, client.messages.create(**ASK).usage):
        assert (usage.input_tokens, usage.output_tokens) == (40, 30)
        assert usage.cache_read_input_tokens == 300
        assert usage.cache_creation_input_tokens == 25
        assert usage.cache_creation.ephemeral_5m_input_tokens == 20
        assert usage.cache_creation.ephemeral_1h_input_tokens == 5
    bill = fake.bill()
    assert (bill.input, bill.cached, bill.cache_write_5m, bill.cache_write_1h) == (80, 600, 40, 10)
    assert fake.requests[0].input_tokens == 365


def test_usage_of_a_stream_is_cumulative(fake: FakeProviders, client: anthropic.Anthropic) -> None:
    fake.script(Behaviour(events=3, usage=CACHED))
    events = list(client.messages.create(**ASK, stream=True))
    start, delta = events[0].message.usage, events[-2].usage
    assert (start.input_tokens, start.cache_read_input_tokens, start.output_tokens) == (40, 300, 1)
    assert (delta.input_tokens, delta.cache_read_input_tokens, delta.output_tokens) == (
        40,
        300,
        30,
    )


def test_usage_can_be_left_out(fake: FakeProviders) -> None:
    fake.script(Behaviour(report_usage=False))
    for stream in (True, False):
        answer = exchange(fake, request(fake, path="/v1/messages", stream=stream))
        assert b"usage" not in answer.body
    assert fake.bill().output == 10


def test_respects_max_tokens(fake: FakeProviders, client: anthropic.Anthropic) -> None:
    fake.script(Behaviour(events=10, text="abc", tokens_per_event=3))
    for message in (final(client, max_tokens=7), client.messages.create(**ASK | {"max_tokens": 7})):
        assert message.content[0].text == "abcabca"
        assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 7)


def test_calls_tools(fake: FakeProviders, client: anthropic.Anthropic) -> None:
    fake.script(Behaviour(events=1, tools=(ToolCall(arguments={"city": "Zürich"}, parts=5),)))
    for message in (final(client, tools=WEATHER), client.messages.create(**ASK, tools=WEATHER)):
        text, call = message.content
        assert (text.type, call.type, call.name) == ("text", "tool_use", "get_weather")
        assert call.input == {"city": "Zürich"}
        assert message.stop_reason == "tool_use"
    assert final(client).stop_reason == "end_turn"


def test_thinks_aloud(fake: FakeProviders, client: anthropic.Anthropic) -> None:
    fake.script(Behaviour(events=2, thinking=3, ping_every=1))
    message = final(client)
    thought, text = message.content
    assert (thought.type, thought.thinking, thought.signature) == ("thinking", "hm hm hm ", "c2ln")
    assert text.text == "word word "
    assert message.usage.output_tokens == 5
    assert message.usage.output_tokens_details.thinking_tokens == fake.bill().reasoning == 3


def test_takes_the_key_in_either_header(fake: FakeProviders) -> None:
    body, path = json.dumps(ASK).encode(), "/v1/messages"
    key, bearer = f"x-api-key: {fake.anthropic_key}", f"authorization: Bearer {fake.anthropic_key}"
    for headers, status in (
        ([key], 200),
        ([bearer], 200),
        ([key, bearer], 200),
        ([], 401),
        (["x-api-key: sk-wrong"], 401),
        ([key, "authorization: Bearer fb_of_the_caller"], 401),
    ):
        answer = exchange(fake, post(body, path, *headers))
        assert (answer.status, headers) == (status, headers)
    assert json.loads(answer.body)["error"]["type"] == "authentication_error"


def test_refuses_bad_requests(fake: FakeProviders) -> None:
    path, key = "/v1/messages", f"x-api-key: {fake.anthropic_key}"

    def refusal(fields: dict[str, Any], version: str = "2023-06-01") -> str:
        body = json.dumps({n: v for n, v in (ASK | fields).items() if v is not None}).encode()
        answer = exchange(fake, post(body, path, key, version=version))
        if answer.status == 200:
            return ""
        error = json.loads(answer.body)["error"]
        assert (answer.status, error["type"]) == (400, "invalid_request_error")
        return str(error["message"])

    assert refusal({"max_tokens": None}) == "max_tokens: Field required"
    assert "max_tokens" in refusal({"max_tokens": 0})
    assert "messages" in refusal({"messages": {}})
    assert "stream_options" in refusal({"stream_options": {}})
    assert refusal({}, version="") == "anthropic-version: header is required"
    assert "not a valid version" in refusal({}, version="2020-01-01")
    # Sampling parameters went with the version that the present SDK sends.
    assert refusal({"temperature": 0.5}) == ""
    assert "temperature" in refusal({"temperature": 0.5}, version="2026-10-21")
    assert exchange(fake, post(b"{nope", path, key)).status == 400
    assert fake.bill().refused == 8


def test_lists_models(fake: FakeProviders, client: anthropic.Anthropic) -> None:
    assert "claude-haiku-4-5" in [model.id for model in client.models.list()]
    assert client.models.retrieve("claude-haiku-4-5").lifecycle == "active"


@pytest.mark.parametrize(
    "status, exception, kind",
    [
        (400, anthropic.BadRequestError, "invalid_request_error"),
        (401, anthropic.AuthenticationError, "authentication_error"),
        (403, anthropic.PermissionDeniedError, "permission_error"),
        (404, anthropic.NotFoundError, "not_found_error"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (500, anthropic.InternalServerError, "api_error"),
        (529, anthropic.InternalServerError, "overloaded_error"),
    ],
)
def test_errors_raise_what_the_sdk_has_for_them(
    fake: FakeProviders,
    client: anthropic.Anthropic,
    status: int,
    exception: type[anthropic.APIStatusError],
    kind: str,
) -> None:
    fake.script(Behaviour(status=status, message="no, {key}"))
    with pytest.raises(exception) as caught:
        final(client)
    assert caught.value.status_code == status
    body: Any = caught.value.body
    assert body["error"] == {"type": kind, "message": f"no, {fake.anthropic_key}"}
    assert body["request_id"]
