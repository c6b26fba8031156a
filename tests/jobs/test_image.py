"""Images as a job: held for by size and quality, paid for by the provider's count."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

import jobs.creating
from common.money import format_credits
from tests.fakes.providers import Behaviour, FakeProviders, Usage
from tests.jobs.asking import Asker
from tests.proxy.riders import Rider
from usage.models import AIModel, Call
from usage.sync import set_price

MODEL = "gpt-image-1"
# US dollars per million tokens, and with a credit of 0.10: microcredits a token, times ten.
IN, OUT = 50, 400


@pytest.fixture
def asker(configured: Any, rider: Rider) -> Iterator[Asker]:
    """With the model as staff add it: no price list has it that is priced by tokens alone."""
    dollars = {"input": "5", "output": "40"}
    model = AIModel.objects.create(
        name=MODEL, provider="openai", protocol="openai", override=dollars
    )
    set_price(model, {}, (), "")
    _forget_catalog()
    yield Asker(rider)
    with connection.cursor() as cursor:  # calls that are about to go protect it
        cursor.execute("DELETE FROM usage_price WHERE model_id = %s", [model.pk])
        cursor.execute("DELETE FROM usage_aimodel WHERE id = %s", [model.pk])
    _forget_catalog()


def _forget_catalog() -> None:
    """What this process knows of the models is some seconds old otherwise."""
    jobs.creating.forget_models()


def image(**more: Any) -> dict[str, Any]:
    return {"model": MODEL, "prompt": "A fare box", "size": "1024x1024", "quality": "low"} | more


def test_an_image_is_held_for_made_and_paid_for(hire, fake: FakeProviders, asker: Asker) -> None:
    fake.script(Behaviour(usage=Usage(input=12)))
    made = asker.make("image", image(n=2))
    assert asker.rider.held >= 2 * 272 * OUT
    hire().wake()
    job = asker.ended(made["id"])
    price = 12 * IN + 2 * 272 * OUT
    assert (job["state"], job["spent"]) == ("done", format_credits(price))
    found = asker.get(job["result_url"]).json()
    assert [len(one["b64_json"]) > 1_000 for one in found["data"]] == [True, True]
    call = asker.rider.only_call()
    assert (call.protocol, call.input_tokens, call.output_tokens) == ("images", 12, 544)
    assert (call.status, call.estimated) == (Call.Status.COMPLETED, False)
    (asked,) = fake.requests
    assert (asked.path, asked.json) == ("/v1/images/generations", image(n=2))
    assert asker.rider.spent == price


@pytest.mark.parametrize(
    ("given", "tokens"),
    [({}, 272), ({"size": "auto"}, 408), ({"quality": "auto"}, 4_160), ({"quality": "high"}, 4_160),
     ({"size": None, "quality": None}, 6_240), ({"n": 3}, 816)],
)  # fmt: skip
def test_what_is_held_covers_the_dearest_it_may_be(asker: Asker, given: Any, tokens: int) -> None:
    job = asker.make("image", image(**given))
    prompts = asker.rider.held - tokens * OUT
    assert 0 < prompts < 2_000 * IN
    asker.cancel(job["id"])


@pytest.mark.parametrize(
    ("changes", "param"),
    [({"prompt": ""}, "prompt"), ({"prompt": 7}, "prompt"), ({"size": "1x1"}, "size"),
     ({"quality": "best"}, "quality"), ({"stream": True}, "stream"), ({"n": 0}, "n"),
     ({"size": ["1024x1024"]}, "size"), ({"quality": {}}, "quality"),
     ({"image": "https://example.com/"}, "image"), ({"model": "gpt-4o-mini"}, "model")],
)  # fmt: skip
def test_bad_input(asker: Asker, changes: Any, param: str) -> None:
    answer = asker.post("image", image(**changes))
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, f"input.{param}"), error
    asker.rider.assert_untouched()


def test_without_usage_what_was_held_for_is_paid(hire, fake: FakeProviders, asker: Asker) -> None:
    """No provider of these models leaves it out; one that does is believed to have made them."""
    fake.script(Behaviour(usage=Usage(input=12), report_usage=False))
    job = asker.done(hire(), "image", image())
    assert job["state"] == "done"
    call = asker.rider.only_call()
    assert (call.output_tokens, call.estimated) == (272, True)
