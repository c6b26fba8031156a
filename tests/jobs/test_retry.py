"""Retrying a job that failed: another job, of the same input, held for anew, and one however many
ask for it."""

import threading
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from accounts.models import User
from common.errors import Conflict, InsufficientCredits
from jobs import creating, retrying, sweep
from jobs.models import Item, Job
from jobs.sweep import forget
from ledger import verbs
from tests.fakes.providers import Behaviour, FakeProviders, Usage
from tests.jobs.asking import Asker, chat
from tests.proxy.by_hand import microcredits
from tests.proxy.riders import Rider
from tests.racing import at_once

AT_FAULT = Behaviour(status=400, message="no such thing")
SAID = Behaviour(events=7, usage=Usage(input=30))
THREADS = 8


@pytest.fixture
def asker(configured: Any, rider: Rider) -> Asker:
    return Asker(rider)


def failed(hire: Any, fake: FakeProviders, asker: Asker, *what: Any, **more: Any) -> Job:
    """A job that has failed; the provider is well again then."""
    fake.script(AT_FAULT)
    job = asker.done(hire(), *(what or ("completion", chat())), **more)
    assert job["state"] == "failed", job
    fake.script(SAID)
    return Job.objects.get(pk=job["id"])


def test_it_asks_the_same_again_and_is_paid_for(hire, fake: FakeProviders, asker: Asker) -> None:
    job = failed(hire, fake, asker)
    assert Item.objects.get(job=job).input is not None
    made = retrying.retry(job)
    assert not made.repeated
    assert asker.rider.held == made.held
    assert asker.rider.held > 0
    new = Job.objects.get(pk=made.job)
    assert (new.retried_from_id, new.kind, new.state) == (job.pk, "completion", "queued")
    assert retrying.retry_of(job) == new
    hire().wake()
    assert asker.ended(str(made.job))["state"] == "done"
    first, second = fake.requests
    assert first.json == second.json
    assert asker.rider.spent == microcredits("gpt-4o-mini", input=30, output=7)
    assert asker.job(str(job.pk))["state"] == "failed", "it stays as it ended"


def test_a_batch(hire, fake: FakeProviders, asker: Asker) -> None:
    requests = [chat("One"), chat("Two"), chat("Three")]
    job = failed(hire, fake, asker, "batch", {"requests": requests})
    made = retrying.retry(job)
    hire().wake()
    ended = asker.ended(str(made.job))
    assert (ended["state"], ended["done"], ended["total"]) == ("done", 3, 3)
    asked = sorted(request.json["messages"][0]["content"] for request in fake.requests)
    assert asked == sorted(["One", "Two", "Three"] * 2)


def test_a_retry_that_fails_is_retried_itself(hire, fake: FakeProviders, asker: Asker) -> None:
    first = failed(hire, fake, asker)
    fake.script(AT_FAULT)
    second = retrying.retry(first).job
    hire().wake()
    assert asker.ended(str(second))["state"] == "failed"
    again = retrying.retry(first)
    assert (again.job, again.repeated) == (second, True)
    third = retrying.retry(Job.objects.get(pk=second))
    assert not third.repeated
    asker.cancel(str(third.job))


def test_one_that_was_canceled_counts_as_none(hire, fake: FakeProviders, asker: Asker) -> None:
    job = failed(hire, fake, asker)
    canceled = retrying.retry(job).job
    asker.cancel(str(canceled))
    assert retrying.retry_of(job) is None
    another = retrying.retry(job)
    assert (another.repeated, another.job != canceled) == (False, True)
    assert retrying.retry(job).job == another.job
    asker.cancel(str(another.job))


@pytest.mark.parametrize("state", ["queued", "done", "canceled"])
def test_only_what_failed(hire, fake: FakeProviders, asker: Asker, state: str) -> None:
    fake.script(SAID)
    if state == "done":
        job = asker.done(hire(), "completion", chat())["id"]
    else:
        job = asker.make("completion", chat())["id"]
        if state == "canceled":
            asker.cancel(job)
    said = {"queued": "has not ended", "done": "nothing to retry", "canceled": "was deleted"}
    with pytest.raises(Conflict, match=said[state]):
        retrying.retry(Job.objects.get(pk=job))
    assert Job.objects.count() == 1
    if state == "queued":
        asker.cancel(job)
    assert not Item.objects.exclude(input=None).exists(), "what was asked is forgotten"


def test_what_can_no_longer_be_paid(hire, fake: FakeProviders, asker: Asker) -> None:
    job = failed(hire, fake, asker)
    verbs.spend(account=asker.rider.wallet, amount=asker.rider.funded, key="all of it")
    with pytest.raises(InsufficientCredits, match="Top up at"):
        retrying.retry(job)
    assert (Job.objects.count(), asker.rider.held) == (1, 0)


def test_what_was_asked_is_not_kept_for_ever(hire, fake: FakeProviders, asker: Asker) -> None:
    job = failed(hire, fake, asker)
    made = retrying.retry(job).job
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE jobs_job SET finished = finished - interval '72 hours' WHERE id = %s", [job.pk]
        )
    assert forget() == 1
    new = Job.objects.get()
    assert (new.pk, new.retried_from_id) == (made, None)
    asker.cancel(str(made))
    assert not Item.objects.exclude(input=None).exists()


def test_an_older_version_kept_nothing(hire, fake: FakeProviders, asker: Asker) -> None:
    job = failed(hire, fake, asker)
    Item.objects.filter(job=job).update(input=None)
    with pytest.raises(Conflict, match="not kept"):
        retrying.retry(job)


def test_an_account_that_is_closed(hire, fake: FakeProviders, asker: Asker) -> None:
    job = failed(hire, fake, asker)
    User.objects.filter(pk=asker.rider.user.pk).update(is_active=False)
    with pytest.raises(Conflict, match="closed"):
        retrying.retry(Job.objects.get(pk=job.pk))


def test_what_nobody_did_in_time(asker: Asker) -> None:
    job = asker.make("noop")["id"]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE jobs_job SET deadline = now() - interval '1 second'")
    assert sweep.sweep() == 1
    made = retrying.retry(Job.objects.get(pk=job)).job
    assert made != UUID(job)
    asker.cancel(str(made))


def test_two_at_once_make_one(hire, fake: FakeProviders, asker: Asker) -> None:
    job = failed(hire, fake, asker)
    made = at_once([partial(closing, partial(retrying.retry, job))] * THREADS)
    assert len({one.job for one in made}) == 1
    assert [one.repeated for one in made].count(False) == 1
    new = Job.objects.exclude(pk=job.pk).get()
    assert asker.rider.held == new.held
    asker.cancel(str(new.pk))


def test_the_control_without_a_key_makes_many(hire, fake: FakeProviders, asker: Asker) -> None:
    """Looking first whether there is a retry, as somebody might, is not enough."""
    job = failed(hire, fake, asker)
    looked = threading.Barrier(THREADS)

    def naive() -> Any:
        found = retrying.retry_of(job)
        looked.wait(30)  # what chance does elsewhere
        if found is None:
            creating.create(user=job.user, key=None, kind=job.kind, given=chat(), retried=job.pk)

    at_once([partial(closing, naive)] * THREADS)
    made = list(Job.objects.exclude(pk=job.pk))
    assert len(made) > 1
    for one in made:
        asker.cancel(str(one.pk))


def closing(work: Any) -> Any:
    try:
        return work()
    finally:
        connection.close()
