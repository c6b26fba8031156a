"""Many completions in one job: each billed by itself, what fails costs nothing."""

from common.money import format_credits
from tests.fakes.providers import Behaviour, FakeProviders, Usage
from tests.jobs.asking import MODEL, Asker, chat
from tests.proxy.by_hand import microcredits
from tests.proxy.riders import Rider

SAID = Behaviour(events=5, usage=Usage(input=20))


def test_a_batch_of_100_with_10_failing_items_bills_90(
    hire, fake: FakeProviders, rider: Rider
) -> None:
    fake.script(SAID)
    fake.script(Behaviour(status=400, message="not this one"), model="gpt-4.1-mini")
    asker = Asker(rider)
    bodies = [
        chat(f"number {n}", model="gpt-4.1-mini" if n % 10 == 3 else MODEL) for n in range(100)
    ]
    made = asker.make("batch", {"requests": bodies})
    assert (made["total"], made["state"]) == (100, "queued")
    assert made["held"] == format_credits(rider.held)
    hand = hire()
    hand.wake()
    job = asker.ended(made["id"], 60)
    price = microcredits(MODEL, input=20, output=5)
    assert (job["state"], job["progress"], job["done"], job["failed"]) == ("done", 100, 90, 10)
    assert job["spent"] == format_credits(90 * price)
    assert (rider.spent, rider.held) == (90 * price, 0)
    assert rider.month() == (90, 1_800, 450, 90 * price)
    assert len(rider.captures()) == 90
    items = job["result"]["items"]
    for number, item in enumerate(items):
        if number % 10 == 3:
            assert (item["state"], item["result"], item["spent"]) == ("failed", None, "0.000000")
            assert "not this one" in item["error"]["message"]
        else:
            assert (item["state"], item["error"]) == ("done", None)
            assert item["spent"] == format_credits(price)
            assert "word" in item["result"]["choices"][0]["message"]["content"]
    # Each was asked once, and no more of them at the same time than may be.
    said = [request.json["messages"][0]["content"] for request in fake.requests]
    assert sorted(said) == sorted(f"number {n}" for n in range(100))


def test_items_are_asked_side_by_side_within_a_bound(
    hire, configured, fake: FakeProviders, rider: Rider
) -> None:
    configured.JOB_BATCH_AT_ONCE = 3
    fake.script(Behaviour(plain_delay=60))
    asker = Asker(rider)
    made = asker.make("batch", {"requests": [chat() for _ in range(9)]})
    hire().wake()
    fake.wait_until(lambda: fake.open == 3, timeout=10)
    asker.cancel(made["id"])
    assert asker.ended(made["id"])["state"] == "canceled"
    assert len(fake.requests) == 3


def test_what_may_pass_is_asked_again_and_the_rest_is_not(
    hire, fake: FakeProviders, rider: Rider
) -> None:
    fake.script(SAID)
    fake.once(*[Behaviour(status=503, retry_after="1")] * 3)
    asker = Asker(rider)
    job = asker.done(hire(), "batch", {"requests": [chat() for _ in range(4)]})
    assert (job["state"], job["done"], job["failed"]) == ("done", 4, 0)
    assert sum(request.status == 200 for request in fake.requests) == 4
    assert rider.spent == 4 * microcredits(MODEL, input=20, output=5)


def test_a_batch_of_which_nothing_succeeds_has_failed(
    hire, fake: FakeProviders, rider: Rider
) -> None:
    fake.script(Behaviour(status=400))
    asker = Asker(rider)
    job = asker.done(hire(), "batch", {"requests": [chat(), chat()]})
    assert (job["state"], job["failed"], job["error"]["code"]) == ("failed", 2, "bad_request")
    assert job["spent"] == "0.000000"
