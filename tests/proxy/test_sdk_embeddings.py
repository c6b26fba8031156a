"""The official OpenAI SDK's embeddings against Farebox."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.fakes.providers import Behaviour, FakeProviders, Usage
from tests.proxy.riders import Rider
from tests.proxy.server import Farebox
from tests.proxy.test_sdk_openai import assert_paid
from usage.models import Call

pytestmark = pytest.mark.xdist_group("proxy-sdks")
SMALL = "text-embedding-3-small"


@pytest.fixture
def sdk(farebox: Farebox, rider: Rider) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{farebox.url}/v1", api_key=rider.secret, max_retries=0) as client:
        yield client


def price(tokens: int) -> int:
    """text-embedding-3-small: $0.02 per million tokens, $0.10 a credit: 0.2 microcredits each."""
    return -(-tokens * 2 // 10)


@pytest.mark.parametrize("format", ["float", "base64", None])
def test_embeddings_come_back_and_cost_their_input(
    sdk: OpenAI, fake: FakeProviders, rider: Rider, format: Any
) -> None:
    fake.script(Behaviour(usage=Usage(input=1_234)))
    more = {} if format is None else {"encoding_format": format}
    answer = sdk.embeddings.with_raw_response.create(
        model=SMALL, input=["Hello", "world"], dimensions=4, **more
    )
    call = assert_paid(rider, price(1_234), 1_234, 0)
    assert answer.headers["x-farebox-call"] == str(call.id)
    assert call.protocol == "embeddings"
    vectors = [one.embedding for one in answer.parse().data]
    assert len(vectors) == 2
    if format != "base64":
        assert vectors[1] == pytest.approx([2, 1, 2 / 3, 0.5])


def test_every_form_of_input_is_taken_and_held_for(
    sdk: OpenAI, fake: FakeProviders, rider: Rider
) -> None:
    inputs: list[Any] = ["text", ["text", "more"], [1, 2, 3], [[1, 2], [3]]]
    for given in inputs:
        sdk.embeddings.create(model=SMALL, input=given, encoding_format="float")
        assert fake.requests[-1].json["input"] == given
    calls = rider.calls()
    assert len(calls) == 4
    # The texts' bytes, or the tokens, and two for the frame of each; never an output.
    bounds = [4 + 2, 8 + 4, 3 + 2, 3 + 4]
    assert [call.held for call in calls] == [price(tokens) for tokens in bounds]


def test_without_a_report_the_input_is_estimated(
    sdk: OpenAI, fake: FakeProviders, rider: Rider
) -> None:
    fake.script(Behaviour(report_usage=False))
    sdk.embeddings.create(model=SMALL, input=[list(range(500))], encoding_format="float")
    call = rider.only_call()
    assert call.estimated
    assert call.status == Call.Status.COMPLETED
    assert (call.input_tokens, call.output_tokens) == (500, 0)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"input": ""}, "input"),
    ({"input": []}, "input"),
    ({"input": None}, "input"),
    ({"input": ["a", ""]}, "input[1]"),
    ({"input": ["a", 7]}, "input[1]"),
    ({"input": [[1], []]}, "input[1]"),
    ({"input": [[1], ["a"]]}, "input[1]"),
    ({"input": [1, True]}, "input[0]"),
    ({"input": ["a"] * 2_049}, "input"),
    ({"input": "a", "stream": True}, "stream"),
]


def test_what_can_not_be_embedded_is_refused_by_name(
    sdk: OpenAI, fake: FakeProviders, rider: Rider
) -> None:
    for more, param in BAD:
        with pytest.raises(openai.BadRequestError) as raised:
            sdk.post("/embeddings", body={"model": SMALL} | more, cast_to=object)
        assert raised.value.param == param, more
    assert fake.requests == []
    rider.assert_untouched()
