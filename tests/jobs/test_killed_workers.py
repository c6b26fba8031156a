"""Workers as processes: killed in the midst of their jobs, told to end, and one beside another."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest

from jobs.models import Item, Job
from ledger.models import Hold
from ledger.reconcile import reconcile
from tests.fakes.providers import Behaviour, FakeProviders, Usage
from tests.jobs.asking import MODEL, chat
from tests.jobs.crew import Crew, Customer
from tests.proxy.by_hand import microcredits
from tests.proxy.riders import Rider
from tests.proxy.server import wait_for

pytestmark = pytest.mark.xdist_group("jobs-slow")
SAID = Behaviour(events=5, usage=Usage(input=20))
PRICE = microcredits(MODEL, input=20, output=5)
PREFORK = (
    "celery", "-A", "config", "worker", "--concurrency", "1", "--without-mingle",
    "--without-gossip", "--without-heartbeat", "--loglevel", "INFO",
)  # fmt: skip


@pytest.fixture
def crew(
    fake: FakeProviders, database_url: str, clean_books: bool, tmp_path: Path
) -> Iterator[Callable[..., Crew]]:
    crews: list[Crew] = []

    def start(workers: int = 1, **changes: str) -> Crew:
        crews.append(Crew(fake, database_url, tmp_path, **changes).start(workers))
        return crews[-1]

    yield start
    for one in crews:
        one.stop()


def test_what_a_killed_worker_held_is_done_by_another(
    crew: Callable[..., Crew], fake: FakeProviders, rider: Rider
) -> None:
    fake.script(Behaviour(plain_delay=120))
    farebox = crew(1)
    customer = Customer(farebox, rider)
    made = [customer.make("completion", chat(f"job {n}")) for n in range(6)]
    fake.wait_until(lambda: fake.open == 6, timeout=30)
    farebox.kill9(farebox.workers[0])
    fake.wait_until(lambda: fake.open == 0, timeout=10)
    fake.script(SAID)
    farebox.hire()
    wait_for(lambda: not Job.objects.filter(finished=None).exists(), 120, "all are done")
    found = {str(job.pk): (job.state, job.attempts) for job in Job.objects.all()}
    assert found == dict.fromkeys(made, ("done", 2))
    assert rider.spent == 6 * PRICE
    # The provider has charged for none of the lost attempts, which nobody can know: the records
    # say that it may have.
    assert sum(call.cost for call in rider.calls()) == 12 * PRICE
    assert reconcile().violations == []


def test_without_a_lease_they_would_be_lost(
    crew: Callable[..., Crew], fake: FakeProviders, rider: Rider
) -> None:
    """The control: a lease that does not end is none, and what the worker held stays so."""
    fake.script(Behaviour(plain_delay=120))
    farebox = crew(1, JOB_LEASE_SECONDS="3600")
    customer = Customer(farebox, rider)
    lost = [customer.make("completion", chat(f"job {n}")) for n in range(3)]
    fake.wait_until(lambda: fake.open == 3, timeout=30)
    farebox.kill9(farebox.workers[0])
    fake.wait_until(lambda: fake.open == 0, timeout=10)
    fake.script(SAID)
    farebox.hire()
    done = customer.make("completion", chat("another"))
    wait_for(lambda: Job.objects.get(pk=done).state == "done", 30, "the worker works")
    assert set(Job.objects.filter(pk__in=lost).values_list("state", flat=True)) == {"running"}
    assert Hold.objects.filter(state="open").count() == 3


def test_a_worker_that_is_told_to_end_finishes_or_gives_back(
    crew: Callable[..., Crew], fake: FakeProviders, rider: Rider
) -> None:
    """With processes as a deployment has them. Nothing waits for a lease to run out."""
    fake.script(Behaviour(plain_delay=120))
    farebox = crew(0, JOB_LEASE_SECONDS="600", SHUTDOWN_SECONDS="6")
    worker = farebox.hire(PREFORK)
    customer = Customer(farebox, rider)
    slow = UUID(customer.make("completion", chat("slow")))
    fake.wait_until(lambda: fake.open == 1, timeout=30)
    fake.script(Behaviour(events=5, usage=Usage(input=20), plain_delay=1))
    quick = customer.make("completion", chat("quick"))
    fake.wait_until(lambda: fake.open == 2, timeout=30)
    worker.terminate()
    assert worker.wait(60) == 0, farebox.log_text()[-4_000:]
    farebox.workers.remove(worker)
    assert fake.open == 0
    assert Job.objects.get(pk=quick).state == "done"
    given_back = Job.objects.get(pk=slow)
    assert (given_back.state, given_back.attempts) == ("queued", 0)
    assert Item.objects.get(job=slow).lost == 0
    fake.script(SAID)
    farebox.hire()
    wait_for(lambda: Job.objects.get(pk=slow).state == "done", 30, "another does it")
    assert rider.spent == 2 * PRICE
