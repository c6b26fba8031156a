"""Canceling: at once what is queued, within two seconds what runs, nothing of what has ended."""

import asyncio
import time
from datetime import timedelta

import pytest

from jobs import verbs
from jobs.run import Run
from tests.fakes.providers import Behaviour, FakeProviders, Usage
from tests.jobs.asking import MODEL, Asker, chat
from tests.proxy.by_hand import microcredits
from tests.proxy.riders import Rider
from tests.proxy.server import wait_for


@pytest.fixture
def asker(configured, rider: Rider) -> Asker:
    return Asker(rider)


def test_a_queued_job_ends_at_once(hire, fake: FakeProviders, asker: Asker) -> None:
    job = asker.make("completion", chat())["id"]
    assert asker.cancel(job)["state"] == "canceled"
    assert (asker.rider.held, asker.rider.month()) == (0, (0, 0, 0, 0))
    hire().wake()
    asker.done(hire(), "noop")
    assert fake.requests == []


def test_a_running_job_stops_upstream_within_two_seconds(
    hire, fake: FakeProviders, asker: Asker
) -> None:
    """Of three that are canceled one after the other the quickest counts: what others do on this
    machine is not the worker's."""
    fake.script(Behaviour(plain_delay=120))
    hand, took = hire(), []
    for number in range(3):
        job = asker.make("completion", chat())["id"]
        hand.wake()
        fake.wait_until(lambda: fake.open == 1, timeout=10)
        began = time.monotonic()
        asker.cancel(job)
        fake.wait_until(lambda: fake.open == 0, timeout=30)
        took.append(fake.requests[number].ended - began)
        ended = asker.ended(job)
        assert (ended["state"], ended["error"]["code"]) == ("canceled", "canceled")
        assert ended["spent"] == "0.000000"
        assert fake.requests[number].client_closed_early
        if took[-1] < 2:
            break
    assert min(took) < 2, took
    assert (asker.rider.spent, asker.rider.held) == (0, 0)


def test_canceled_before_the_worker_has_begun_with_it(
    hire, fake: FakeProviders, asker: Asker
) -> None:
    """Between the claim and the first item nothing is asked, and the job ends at once."""
    job = asker.make("completion", chat())["id"]
    (claimed,) = verbs.claim(limit=1, lease=timedelta(minutes=5))
    assert asker.cancel(job)["state"] == "running"
    hand = hire()
    work = Run(hand.worker.context, claimed).work()
    assert asyncio.run_coroutine_threadsafe(work, hand.loop).result(30) is None
    assert asker.job(job)["state"] == "canceled"
    assert (fake.requests, asker.rider.held) == ([], 0)


def test_of_a_batch_what_was_delivered_is_paid_for(
    hire, configured, fake: FakeProviders, asker: Asker
) -> None:
    configured.JOB_BATCH_AT_ONCE = 2
    fake.script(Behaviour(plain_delay=120))
    fake.once(*[Behaviour(events=5, usage=Usage(input=20))] * 3)
    job = asker.make("batch", {"requests": [chat() for _ in range(8)]})["id"]
    hire().wake()
    wait_for(lambda: asker.job(job)["done"] == 3, 10, "three are done")
    assert asker.job(job)["progress"] == 37
    asker.cancel(job)
    ended = asker.ended(job)
    price = microcredits(MODEL, input=20, output=5)
    assert (ended["state"], ended["done"], ended["failed"]) == ("canceled", 3, 5)
    assert asker.rider.spent == 3 * price
    states = [item["state"] for item in ended["result"]["items"]]
    assert sorted(states) == ["canceled"] * 5 + ["done"] * 3


def test_what_has_ended_stays_as_it_is(hire, asker: Asker) -> None:
    job = asker.done(hire(), "completion", chat())
    assert job["state"] == "done"
    assert asker.cancel(job["id"]) == asker.job(job["id"])
    assert asker.job(job["id"])["state"] == "done"
