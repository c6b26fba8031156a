"""``/ai-proxy`` over the real socket: one request and one stream for models of both protocols."""

import json
from typing import Any

import httpx
import pytest

from common.money import format_credits
from tests.fakes.providers import Behaviour, FakeProviders, Fault, ToolCall, Usage
from tests.proxy.by_hand import microcredits
from tests.proxy.dialects import Reply, post
from tests.proxy.riders import CREDIT, Rider, make_rider
from tests.proxy.server import Farebox
from usage.models import Call

pytestmark = pytest.mark.xdist_group("proxy-sdks")
MODELS = ("gpt-4o-mini", "claude-haiku-4-5")
each = pytest.mark.parametrize("model", MODELS)
HELLO: Any = [{"role": "user", "content": "Hello"}]
WEATHER = {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}


def ask(farebox: Farebox, key: str, model: str, settings: Any = None, **more: Any) -> Reply:
    body = {"model": model, "messages": HELLO} | more
    if settings is not None:
        body["settings"] = settings
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    return post(farebox, "/ai-proxy", json.dumps(body).encode(), headers)


def text_of(reply: Reply) -> str:
    return "".join(event["text"] for event in reply.events if event["type"] == "text")


@each
def test_a_stream_is_told_in_one_shape(
    farebox: Farebox, fake: FakeProviders, rider: Rider, model: str
) -> None:
    words = ("Grüezi ", "wohl, ", 'data: {"type": "done"}\n\n', "– 🙂")
    used = Usage(input=700, cached=300, output=57)
    fake.script(Behaviour(events=4, text=words, usage=used, ping_every=2))
    reply = ask(farebox, rider.secret, model)
    assert reply.whole
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert text_of(reply) == "".join(words)
    call = rider.only_call()
    price = microcredits(model, input=700, cached=300, output=57)
    assert (call.status, call.spent, call.protocol) == (Call.Status.COMPLETED, price, "ai-proxy")
    assert [event["type"] for event in reply.events] == ["text"] * 4 + ["usage", "done"]
    assert reply.events[-2] == {
        "type": "usage", "input_tokens": 1_000, "cached_tokens": 300, "output_tokens": 57,
        "reasoning_tokens": 0,
    }  # fmt: skip
    assert reply.events[-1] == {
        "type": "done", "finish": "stop", "call": str(call.id), "spent": format_credits(price),
    }  # fmt: skip
    assert reply.headers["x-farebox-call"] == str(call.id)


@each
def test_a_plain_answer_has_the_same_words(
    farebox: Farebox, fake: FakeProviders, rider: Rider, model: str
) -> None:
    fake.script(Behaviour(usage=Usage(input=100, output=57)))
    reply = ask(farebox, rider.secret, model, {"stream": False})
    call = rider.only_call()
    assert call.spent == microcredits(model, input=100, output=57)
    assert reply.headers["content-type"] == "application/json"
    assert reply.json == {
        "text": "word " * 5,
        "tool_calls": [],
        "usage": {
            "input_tokens": 100, "cached_tokens": 0, "output_tokens": 57, "reasoning_tokens": 0,
        },
        "finish": "stop",
        "call": str(call.id),
        "spent": format_credits(call.spent),
    }  # fmt: skip


@each
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
def test_a_tool_call_is_told_when_it_is_whole(
    farebox: Farebox, fake: FakeProviders, rider: Rider, model: str, stream: bool
) -> None:
    arguments = {"city": "Zürich", "text": 'a "quoted" word'}
    tools = (ToolCall(arguments=arguments, parts=7), ToolCall(arguments={}))
    fake.script(Behaviour(events=2, tools=tools))
    asked = {"stream": stream, "tools": [WEATHER], "tool_choice": "required"}
    reply = ask(farebox, rider.secret, model, asked)
    if stream:
        calls = [event for event in reply.events if event["type"] == "tool_call"]
        finish = reply.events[-1]["finish"]
    else:
        calls, finish = reply.json["tool_calls"], reply.json["finish"]
    assert [call["arguments"] for call in calls] == [arguments, {}]
    assert {call["name"] for call in calls} == {"get_weather"}
    assert all(call["id"] for call in calls)
    assert finish == "tool_calls"
    rider.only_call()


@each
def test_a_tool_call_that_was_cut_off_is_not_told(
    farebox: Farebox, fake: FakeProviders, rider: Rider, model: str
) -> None:
    fake.script(Behaviour(events=2, tools=(ToolCall(parts=8),)))
    reply = ask(farebox, rider.secret, model, {"max_tokens": 6, "tools": [WEATHER]})
    assert [event["type"] for event in reply.events] == ["text", "text", "usage", "done"]
    assert reply.events[-1]["finish"] == "length"
    rider.only_call()


@each
def test_an_answer_that_breaks_off_ends_with_an_error(
    farebox: Farebox, fake: FakeProviders, rider: Rider, model: str
) -> None:
    """It ends cleanly, and without ``done``: a browser drops what it has not read of a cut one."""
    for fault in (Fault.cut(2, mid_event=True), Fault.error(2)):
        fake.once(Behaviour(fault=fault))
        reply = ask(farebox, rider.secret, model)
        assert reply.whole
        assert text_of(reply) == "word " * 2
        *_, last = reply.events
        assert last["type"] == "error"
        assert set(last["error"]) == {"message", "type", "param", "code"}
        assert last["error"]["code"] == "upstream_error"
        assert "done" not in {event["type"] for event in reply.events}
    assert {call.status for call in rider.calls()} == {Call.Status.INTERRUPTED}


@each
def test_refusals_have_the_contracts_first_shape(
    farebox: Farebox, fake: FakeProviders, rider: Rider, model: str
) -> None:
    fake.once(Behaviour(status=400))
    for reply, status, param in (
        (ask(farebox, rider.secret, model), 400, None),
        (ask(farebox, rider.secret, "nothing-9"), 404, "model"),
        (ask(farebox, "not-a-key", model), 401, None),
        (ask(farebox, rider.secret, model, {"max_tokens": 10**9}), 400, "settings.max_tokens"),
        (ask(farebox, rider.secret, model, {"api_base": "http://x.test"}), 400, None),
    ):
        assert reply.status == status, reply.body
        assert set(reply.json) == {"error"}
        assert set(reply.json["error"]) == {"message", "type", "param", "code"}
        if param:
            assert reply.json["error"]["param"] == param
    assert rider.spent == 0
    assert len(fake.requests) == 1


@each
def test_without_a_bound_the_wallet_bounds_the_output(
    farebox: Farebox, fake: FakeProviders, clean_books: bool, model: str
) -> None:
    """Anthropic's protocol, which wants a bound, gets one always."""
    poor = make_rider(credits=CREDIT // 20)
    assert ask(farebox, poor.secret, model).whole
    rich = make_rider("rich@example.com")
    assert ask(farebox, rich.secret, model).whole
    first, second = (request.json for request in fake.requests)
    field = "max_completion_tokens" if model.startswith("gpt") else "max_tokens"
    assert 16 <= first[field] < 16_384
    if field == "max_tokens":
        assert second[field] == 64_000
    assert poor.only_call().held <= CREDIT // 20


def test_another_method_and_another_address_are_refused(farebox: Farebox, rider: Rider) -> None:
    headers = {"authorization": f"Bearer {rider.secret}"}
    got = httpx.get(f"{farebox.url}/ai-proxy", headers=headers)
    assert (got.status_code, got.headers["allow"]) == (405, "POST")
    assert httpx.post(f"{farebox.url}/ai-proxy/chat", headers=headers).status_code == 404
