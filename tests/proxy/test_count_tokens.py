"""``/v1/messages/count_tokens``: Anthropic's count, for nothing; and ``/v1/models/<id>``."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import openai
import pytest

from billing.models import Plan
from tests.fakes.providers import Behaviour, FakeProviders, Usage
from tests.proxy.dialects import Reply, post
from tests.proxy.riders import Rider, make_rider
from tests.proxy.server import Farebox

pytestmark = pytest.mark.xdist_group("proxy-sdks")
HAIKU = "claude-haiku-4-5"
HELLO: Any = [{"role": "user", "content": "Hello"}]
TOOL: Any = {"name": "look", "input_schema": {"type": "object"}}


@pytest.fixture
def sdk(farebox: Farebox, rider: Rider) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=farebox.url, api_key=rider.secret, max_retries=0) as client:
        yield client


def count(farebox: Farebox, key: str, **more: Any) -> Reply:
    body = json.dumps({"model": HAIKU, "messages": HELLO} | more).encode()
    return post(farebox, "/v1/messages/count_tokens", body, {"x-api-key": key})


def test_the_count_is_anthropics_and_free(
    sdk: anthropic.Anthropic, fake: FakeProviders, rider: Rider
) -> None:
    fake.script(Behaviour(usage=Usage(input=2_095)))
    answer = sdk.messages.with_raw_response.count_tokens(
        model=HAIKU, messages=HELLO, system="Be brief.", tools=[TOOL]
    )
    assert answer.parse().input_tokens == 2_095
    assert answer.headers["request-id"]
    assert "x-farebox-estimated" not in answer.headers
    (asked,) = fake.requests
    assert asked.path == "/v1/messages/count_tokens"
    assert asked.json == {
        "model": HAIKU, "messages": HELLO, "system": "Be brief.", "tools": [TOOL]
    }  # fmt: skip
    rider.assert_untouched()


def test_the_body_of_a_message_can_be_counted_as_it_is(
    farebox: Farebox, fake: FakeProviders, rider: Rider
) -> None:
    reply = count(farebox, rider.secret, max_tokens=5, stream=True, temperature=0.5)
    assert (reply.status, reply.json) == (200, {"input_tokens": 10})
    assert set(fake.requests[0].json) == {"model", "messages"}


def test_an_empty_wallet_can_count(farebox: Farebox, fake: FakeProviders, rider: Rider) -> None:
    poor = make_rider("poor@example.com", credits=0)
    assert count(farebox, poor.secret).status == 200


def test_refusals_raise_their_exceptions(
    sdk: anthropic.Anthropic, farebox: Farebox, fake: FakeProviders, rider: Rider
) -> None:
    bad: list[tuple[dict[str, Any], type[anthropic.APIStatusError]]] = [
        ({"messages": []}, anthropic.BadRequestError),
        ({"tools": [{"type": "web_search_20250305"}]}, anthropic.BadRequestError),
        ({"model": "nothing-9"}, anthropic.NotFoundError),
        ({"model": "gpt-4o-mini"}, anthropic.NotFoundError),
    ]
    for more, error in bad:
        with pytest.raises(error):
            sdk.messages.count_tokens(**{"model": HAIKU, "messages": HELLO} | more)
    assert count(farebox, "nobody").status == 401
    assert fake.requests == []
    for status, error in (
        (400, anthropic.BadRequestError),
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
        (529, anthropic.InternalServerError),
    ):
        fake.once(Behaviour(status=status))
        with pytest.raises(error):
            sdk.messages.count_tokens(model=HAIKU, messages=HELLO)
    fake.once(Behaviour(status=401))  # our key's trouble is not the client's
    assert count(farebox, rider.secret).status == 502


def test_where_the_provider_can_not_count_it_is_estimated(
    farebox: Farebox, fake: FakeProviders, rider: Rider
) -> None:
    """As many providers that speak the protocol can't: four bytes a token until more is known."""
    for size in (4_000, 40_000):
        fake.once(Behaviour(status=404))
        # A model of which no test completes a call, so that nothing was learned of it.
        talk = [{"role": "user", "content": "x" * size}]
        reply = count(farebox, rider.secret, model="claude-3-opus", messages=talk)
        assert reply.headers["x-farebox-estimated"] == "true"
        assert reply.json["input_tokens"] == pytest.approx(size / 4, rel=0.02, abs=20)


def test_a_plans_models_are_its_own(farebox: Farebox, fake: FakeProviders, rider: Rider) -> None:
    Plan.objects.filter(slug="internal").update(allowed_models=["gpt-4o-mini"])
    assert count(farebox, rider.secret).status == 403
    assert fake.requests == []


def test_counting_is_limited_for_each_user(
    own_farebox: Callable[..., Farebox], fake: FakeProviders, rider: Rider
) -> None:
    farebox = own_farebox(PROXY_RATE_COUNT_TOKENS="3/minute")
    replies = [count(farebox, rider.secret) for _ in range(4)]
    assert [reply.status for reply in replies] == [200, 200, 200, 429]
    assert 1 <= int(replies[-1].headers["retry-after"]) <= 60
    assert replies[-1].json["error"]["type"] == "rate_limit_error"
    assert count(farebox, make_rider("other@example.com").secret).status == 200


def test_one_model_is_told_in_either_shape(
    sdk: anthropic.Anthropic, farebox: Farebox, rider: Rider
) -> None:
    found = sdk.models.retrieve(HAIKU)
    assert (found.id, found.type, found.display_name) == (HAIKU, "model", HAIKU)
    assert sdk.models.retrieve("claude-haiku-4-5-20251001").id == HAIKU
    with openai.OpenAI(base_url=f"{farebox.url}/v1", api_key=rider.secret) as other:
        model = other.models.retrieve("gpt-4o-mini")
        assert (model.id, model.object, model.owned_by) == ("gpt-4o-mini", "model", "openai")
        assert model in list(other.models.list())
        for name in ("nothing-9", HAIKU, "a/b", "x" * 500):
            with pytest.raises(openai.NotFoundError):
                other.models.retrieve(name)
        Plan.objects.filter(slug="internal").update(allowed_models=["gpt-4o"])
        with pytest.raises(openai.NotFoundError, match="plan"):
            other.models.retrieve("gpt-4o-mini")
    with pytest.raises(anthropic.NotFoundError):
        sdk.models.retrieve("nothing-9")


def test_routes_that_are_not_known_are_refused_not_passed_on(
    farebox: Farebox, fake: FakeProviders, rider: Rider
) -> None:
    unknown = (
        "/v1/responses/resp_1", "/v1/responses/compact", "/v1/responses/input_tokens",
        "/v1/messages/batches", "/v1/files", "/v1/images/generations", "/v1/audio/speech",
        "/v1/completions", "/v1/chat/completions/x", "/v1/embeddings/", "/v1/moderations",
        "/v1/messages/count_tokens/x", "/v1/", "/ai-proxy/", "/v1/../v1/files",
    )  # fmt: skip
    for path in unknown:
        reply = post(farebox, path, b"{}", {"authorization": f"Bearer {rider.secret}"})
        assert reply.status == 404, path
    assert fake.requests == []
