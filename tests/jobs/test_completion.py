"""A completion as a job: queued, held for, asked through the proxy's providers, paid for."""

import pytest

from common.money import format_credits
from jobs.models import Item
from tests.fakes.providers import Behaviour, FakeProviders, Usage
from tests.jobs.asking import Asker, chat
from tests.proxy.by_hand import microcredits
from tests.proxy.riders import Rider
from usage.models import Call

SAID = Behaviour(events=7, usage=Usage(input=30))


@pytest.fixture
def asker(rider: Rider) -> Asker:
    return Asker(rider)


def test_a_job_is_held_for_done_and_paid_for(hire, fake: FakeProviders, asker: Asker) -> None:
    fake.script(SAID)
    made = asker.make("completion", chat())
    assert (made["state"], made["progress"], made["result"]) == ("queued", 0, None)
    assert made["held"] == format_credits(asker.rider.held)
    assert asker.rider.held > 0
    assert fake.requests == []
    assert asker.job(made["id"]) == made

    hand = hire()
    hand.wake()
    job = asker.ended(made["id"])
    price = microcredits("gpt-4o-mini", input=30, output=7)
    assert (job["state"], job["progress"], job["error"]) == ("done", 100, None)
    assert job["spent"] == format_credits(price)
    assert job["result"]["choices"][0]["message"]["content"] == "word " * 7
    assert job["result"]["usage"]["completion_tokens"] == 7
    call = asker.rider.only_call()
    assert (call.spent, call.cost, call.status) == (price, price, Call.Status.COMPLETED)
    assert (call.input_tokens, call.output_tokens, call.streamed) == (30, 7, False)
    assert asker.rider.spent == price
    assert asker.rider.month() == (1, 30, 7, price)
    (request,) = fake.requests
    assert request.json["messages"] == chat()["messages"]
    assert not Item.objects.exclude(input=None).exists(), "what was asked is forgotten"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (chat(model="claude-sonnet-4-5"), "/v1/messages"),
        ({"model": "gpt-4o-mini", "input": "Hello", "max_output_tokens": 200}, "/v1/responses"),
    ],
    ids=["Anthropic's messages", "Responses"],
)
def test_the_other_protocols(hire, fake: FakeProviders, asker: Asker, body, path) -> None:
    fake.script(SAID)
    job = asker.done(hire(), "completion", body)
    assert job["state"] == "done", job
    assert fake.requests[0].path == path
    assert "word word" in str(job["result"])
    assert asker.rider.spent == microcredits(body["model"], input=30, output=7)


def test_what_fails_costs_nothing(hire, fake: FakeProviders, asker: Asker) -> None:
    fake.script(Behaviour(status=400, message="no such thing"))
    job = asker.done(hire(), "completion", chat())
    assert (job["state"], job["spent"], job["result"]) == ("failed", "0.000000", None)
    assert job["error"]["code"] == "bad_request"
    assert "no such thing" in job["error"]["message"]
    assert len(fake.requests) == 1, "a request that is at fault is not repeated"
    assert (asker.rider.spent, asker.rider.held, asker.rider.month()) == (0, 0, (0, 0, 0, 0))
    assert asker.rider.only_call().status == Call.Status.FAILED


def test_a_failure_that_may_pass_is_tried_again(hire, fake: FakeProviders, asker: Asker) -> None:
    fake.script(SAID)
    fake.once(*[Behaviour(status=503, retry_after="1")] * 3)
    job = asker.done(hire(), "completion", chat())
    assert job["state"] == "done"
    assert len(fake.requests) == 4
    assert asker.rider.spent == microcredits("gpt-4o-mini", input=30, output=7)
    assert len(asker.rider.calls()) == 1


def test_attempts_are_bounded(hire, configured, fake: FakeProviders, asker: Asker) -> None:
    configured.JOB_ATTEMPTS = 2
    fake.script(Behaviour(status=500))
    job = asker.done(hire(), "completion", chat())
    assert (job["state"], job["error"]["code"]) == ("failed", "upstream_error")
    assert asker.rider.held == 0


def test_an_attempt_may_take_so_long(hire, configured, fake: FakeProviders, asker: Asker) -> None:
    configured.JOB_COMPLETION_SECONDS = 1
    configured.JOB_ATTEMPTS = 1
    fake.script(Behaviour(plain_delay=60))
    job = asker.done(hire(), "completion", chat())
    assert (job["state"], job["error"]["code"]) == ("failed", "upstream_timeout")
    fake.wait_until(lambda: fake.open == 0, timeout=10)
    assert asker.rider.spent == 0


def test_a_large_result_is_a_file(hire, configured, fake: FakeProviders, asker: Asker) -> None:
    configured.JOB_INLINE_BYTES = 1024
    fake.script(Behaviour(events=40, text="word " * 20))
    job = asker.done(hire(), "completion", chat())
    assert (job["state"], job["result"]) == ("done", None)
    whole = asker.get(job["result_url"])
    assert whole.json()["choices"][0]["message"]["content"].startswith("word word")
    assert Item.objects.get().result is None


def test_a_job_that_does_nothing(hire, asker: Asker) -> None:
    job = asker.done(hire(), "noop")
    assert (job["state"], job["spent"], job["held"]) == ("done", "0.000000", "0.000000")
    asker.rider.assert_untouched()
