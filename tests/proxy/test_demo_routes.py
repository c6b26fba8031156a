"""The built-in provider answers every route, as the official SDKs read them."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import openai
import pytest

from tests.fakes.providers import FakeProviders
from tests.proxy.dialects import post
from tests.proxy.riders import Rider
from tests.proxy.server import Farebox
from usage.models import AIModel, Call
from usage.sync import DEMO, set_price

pytestmark = pytest.mark.xdist_group("proxy-demo")
HELLO: Any = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def demo(
    own_farebox: Callable[..., Farebox], fake: FakeProviders, rider: Rider
) -> Iterator[Farebox]:
    """A server without any provider's key. It answers with the one model that needs none."""
    model = AIModel.objects.create(
        name="demo", provider="demo", protocol="any", context_window=DEMO.context_window
    )
    set_price(model, DEMO.base, DEMO.tiers, "built-in")
    yield own_farebox(OPENAI_API_KEY="", ANTHROPIC_API_KEY="")
    assert fake.requests == []
    Call.objects.filter(model="demo").delete()
    model.prices.all().delete()
    model.delete()


def test_the_demo_answers_every_route(demo: Farebox, rider: Rider) -> None:
    with openai.OpenAI(base_url=f"{demo.url}/v1", api_key=rider.secret, max_retries=0) as sdk:
        assert [model.id for model in sdk.models.list()] == ["demo"]
        for given in ("Hello", HELLO):
            plain = sdk.responses.create(model="demo", input=given)
            assert "“Hello”" in plain.output_text
            assert plain.usage.output_tokens > 20
        with sdk.responses.stream(model="demo", input="Hello") as stream:
            assert stream.get_final_response().output_text == plain.output_text
        short = sdk.responses.create(model="demo", input="Hello", max_output_tokens=5)
        assert short.status == "incomplete"
        chat = sdk.chat.completions.create(model="demo", messages=HELLO)
        assert chat.choices[0].message.content == plain.output_text
        one, other = sdk.embeddings.create(model="demo", input=["a", "b"], dimensions=16).data
        assert len(one.embedding) == 16
        assert sum(number * number for number in one.embedding) == pytest.approx(1, abs=1e-5)
        assert one.embedding != other.embedding
        again = sdk.embeddings.create(
            model="demo", input="a", dimensions=16, encoding_format="float"
        )
        assert again.data[0].embedding == pytest.approx(one.embedding, abs=1e-6)
    with anthropic.Anthropic(base_url=demo.url, api_key=rider.secret, max_retries=0) as sdk:
        message = sdk.messages.create(model="demo", max_tokens=500, messages=HELLO)
        assert message.content[0].text == plain.output_text
        counted = sdk.messages.with_raw_response.count_tokens(model="demo", messages=HELLO)
        assert counted.parse().input_tokens > 0
        assert counted.headers["x-farebox-estimated"] == "true"
    body = json.dumps({"model": "demo", "messages": HELLO}).encode()
    reply = post(demo, "/ai-proxy", body, {"authorization": f"Bearer {rider.secret}"})
    told = [event["text"] for event in reply.events if event["type"] == "text"]
    assert "".join(told) == plain.output_text
    calls = rider.calls()
    assert {call.status for call in calls} == {Call.Status.COMPLETED}
    assert {call.provider for call in calls} == {"demo"}
    assert not any(call.estimated for call in calls)
    assert {call.protocol for call in calls} == {
        "responses", "chat", "embeddings", "messages", "ai-proxy"
    }  # fmt: skip
    assert all(call.spent for call in calls)
