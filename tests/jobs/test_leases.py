"""Who holds a job: one worker at a time, as long as its lease; and what of the others counts."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from django.db import connection

import jobs.sweep
import usage.sweep
from common.errors import AlreadyEnded
from jobs import verbs
from jobs.models import Item, Job
from jobs.verbs import Claimed, Outcome
from ledger.reconcile import reconcile
from tests.fakes.providers import Behaviour, FakeProviders, Usage
from tests.jobs.asking import Asker, chat
from tests.proxy.by_hand import microcredits
from tests.proxy.riders import Rider
from tests.proxy.server import wait_for
from usage.models import Call
from usage.prices import Usage as Tokens

LEASE = timedelta(seconds=60)
OVER = timedelta(seconds=-1)


@pytest.fixture
def asker(configured, rider: Rider) -> Asker:
    return Asker(rider)


def claim(lease: timedelta = LEASE) -> list[Claimed]:
    return verbs.claim(limit=100, lease=lease)


def finish(claimed: Claimed, *, charge: int = 100) -> verbs.ItemFinished:
    item = Item.objects.get(job=claimed.id)
    return verbs.finish_item(
        job=claimed.id, token=claimed.token, place=0, outcome=Outcome("done", '"said"', bytes=6),
        call=item.call, status="completed", charge=charge, cost=charge,
        usage=Tokens(input=10, output=5), estimated=False,
    )  # fmt: skip


def start(claimed: Claimed) -> verbs.Started | None:
    return verbs.start_item(job=claimed.id, token=claimed.token, place=0)


def test_a_worker_whose_lease_ran_out_changes_nothing(asker: Asker) -> None:
    job = UUID(asker.make("completion", chat())["id"])
    (slow,) = claim(OVER)
    assert start(slow) is None, "not with a lease that is over"
    assert verbs.sweep_one(job=job, attempts=5) == "queued"
    (quick,) = claim()
    assert start(quick) is not None
    assert start(quick) is None, "once"
    with pytest.raises(AlreadyEnded):
        finish(slow)
    assert verbs.give_back(job=job, token=slow.token, state="failed") == "running"
    assert verbs.look(held={job: slow.token}) == {}
    assert verbs.renew(held={job: slow.token}, lease=LEASE) == {}
    assert not verbs.stop_item(job=job, token=slow.token, place=0, absorbed=9)
    assert asker.rider.spent == 0
    assert (finish(quick).spent, asker.rider.spent) == (100, 100)
    again = finish(quick)
    assert (again.spent, again.repeated, again.state) == (100, True, "done")
    with pytest.raises(AlreadyEnded):
        finish(slow)
    assert (asker.rider.spent, asker.rider.held) == (100, 0)


def test_without_the_token_both_would_have_ended_it(asker: Asker) -> None:
    """The control of the test above: only the token keeps the slow worker out."""
    job = UUID(asker.make("completion", chat())["id"])
    (slow,) = claim(OVER)
    assert verbs.sweep_one(job=job, attempts=5) == "queued"
    (quick,) = claim()
    assert start(quick) is not None
    Job.objects.filter(pk=job).update(token=slow.token)  # as if there were none
    assert finish(slow, charge=70).spent == 70


def test_many_workers_never_claim_one_job_twice(asker: Asker) -> None:
    for _ in range(60):
        asker.make("noop")

    def work(_: int) -> list[UUID]:
        try:
            found = []
            while claimed := verbs.claim(limit=3, lease=LEASE):
                found += [one.id for one in claimed]
                for one in claimed:
                    verbs.give_back(job=one.id, token=one.token, state="done")
            return found
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        taken = [job for found in pool.map(work, range(6)) for job in found]
    assert len(taken) == len(set(taken)) == 60
    assert set(Job.objects.values_list("state", "attempts")) == {("done", 1)}


def test_a_lost_attempt_is_the_operators(hire, fake: FakeProviders, asker: Asker) -> None:
    """It is in the call's record: what the provider asks is more than what was taken."""
    fake.script(Behaviour(events=5, usage=Usage(input=20)))
    job = UUID(asker.make("completion", chat())["id"])
    (dead,) = claim()
    assert start(dead) is not None
    _let_the_lease_run_out(job)
    assert jobs.sweep.sweep() == 1
    hire().wake()
    assert asker.ended(str(job))["state"] == "done"
    price = microcredits("gpt-4o-mini", input=20, output=5)
    call = asker.rider.only_call()
    assert (call.spent, call.cost) == (price, 2 * price)
    assert asker.rider.spent == price
    assert Item.objects.get().lost == 1


def test_a_job_that_workers_die_at_is_given_up(asker: Asker) -> None:
    job = UUID(asker.make("completion", chat())["id"])
    for attempt in range(1, 4):
        (claimed,) = claim()
        assert (claimed.attempts, start(claimed) is not None) == (attempt, True)
        _let_the_lease_run_out(job)
        state = verbs.sweep_one(job=job, attempts=3)
        assert state == ("queued" if attempt < 3 else "failed")
    assert asker.job(str(job))["error"]["message"] == "Given up after 3 attempts."
    assert (asker.rider.spent, asker.rider.held) == (0, 0)
    assert asker.rider.only_call().status == Call.Status.FAILED


def test_a_job_is_not_held_for_ever(asker: Asker) -> None:
    """The calls' own sweep leaves a job's hold to the job: they end together or not at all."""
    job = UUID(asker.make("completion", chat())["id"])
    with connection.cursor() as cursor:
        cursor.execute("UPDATE jobs_job SET deadline = clock_timestamp()")
        cursor.execute("UPDATE ledger_hold SET lease_until = clock_timestamp()")
    assert usage.sweep.sweep() == 0
    assert claim() == []
    assert asker.rider.held > 0
    assert jobs.sweep.sweep() == 1
    assert asker.job(str(job))["error"]["message"] == "The job was not done in time."
    assert (asker.rider.spent, asker.rider.held) == (0, 0)
    assert reconcile().violations == []


def test_a_worker_that_cannot_renew_gives_up_before_the_lease_is_over(
    hire, fake: FakeProviders, asker: Asker
) -> None:
    fake.script(Behaviour(plain_delay=60))
    job = UUID(asker.make("completion", chat())["id"])
    hire().wake()
    fake.wait_until(lambda: fake.open == 1, timeout=10)
    Job.objects.filter(pk=job).update(token=uuid4())  # as if another had it
    fake.wait_until(lambda: fake.open == 0, timeout=settings.JOB_LEASE_SECONDS + 5)
    _let_the_lease_run_out(job)
    fake.script(Behaviour())
    wait_for(lambda: jobs.sweep.sweep() == 1, 5, "the job is found")
    hire().wake()
    assert asker.ended(str(job))["state"] == "done"
    assert len(fake.requests) == 2


def _let_the_lease_run_out(job: UUID) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE jobs_job SET lease_until = clock_timestamp() - interval '1 second'"
            " WHERE id = %s",
            [job],
        )
