"""Everything at once: 500 jobs of mixed kinds, workers killed with -9 one after the other, Valkey
emptied twice, PostgreSQL restarted. Each job is done once, and the provider's bill accounted for.

The control, in which a killed worker's jobs are lost, is in ``test_killed_workers``.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest

from tests.fakes.providers import Behaviour, FakeProviders, Served, Usage
from tests.jobs.asking import MODEL, chat
from tests.jobs.crew import Crew
from tests.proxy.by_hand import microcredits
from tests.proxy.cluster import Cluster
from tests.proxy.riders import Rider
from tests.proxy.server import wait_for
from tests.zygote import launch

pytestmark = pytest.mark.xdist_group("jobs-slow")
SAID = Behaviour(events=5, usage=Usage(input=20), plain_delay=0.4)
PRICE = microcredits(MODEL, input=20, output=5)
NOOPS, COMPLETIONS, BATCHES, ITEMS = 220, 240, 40, 4
CALLS = COMPLETIONS + BATCHES * ITEMS
KILLS = 4


@pytest.fixture
def cluster(rider: Rider, database_url: str) -> Iterator[Cluster]:
    # Not below pytest's folder, which it closes to other users, the server's among them.
    with TemporaryDirectory(prefix="farebox-cluster-") as home:
        cluster = Cluster(Path(home))
        try:
            cluster.start()
            cluster.copy(database_url)
            yield cluster
        finally:
            cluster.close()


@pytest.fixture
def crew(cluster: Cluster, fake: FakeProviders, tmp_path: Path) -> Iterator[Crew]:
    crew = Crew(fake, cluster.url, tmp_path, JOB_LEASE_SECONDS="6", JOBS_AT_ONCE="12")
    try:
        yield crew.start(workers=2)
    finally:
        crew.stop()


def bodies() -> list[tuple[str, Any]]:
    """What is asked for, each with words that no other has, its kinds well mixed."""
    asked: list[tuple[str, Any]] = [("noop", None)] * NOOPS
    asked += [("completion", chat(f"single {n}")) for n in range(COMPLETIONS)]
    asked += [
        ("batch", {"requests": [chat(f"batch {n} item {i}") for i in range(ITEMS)]})
        for n in range(BATCHES)
    ]
    return [asked[(n * 137) % len(asked)] for n in range(len(asked))]


def make(crew: Crew, rider: Rider, number: int, kind: str, given: Any) -> None:
    """Ask for a job until it is there: its key makes sure that it is one."""
    headers = {"authorization": f"Bearer {rider.secret}", "idempotency-key": f"job {number}"}
    deadline = time.monotonic() + 60
    while True:
        try:
            answer = httpx.post(
                f"{crew.web.url}/api/jobs", json={"kind": kind, "input": given}, headers=headers,
                timeout=30, trust_env=False,
            )  # fmt: skip
            if answer.status_code == 202:
                return
            assert answer.status_code == 503, answer.text
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.2)


def disturb(crew: Crew, cluster: Cluster) -> None:
    """Kill workers, empty Valkey, restart PostgreSQL, while jobs are made and done."""
    for number in range(KILLS):
        time.sleep(3)  # of the storm's course; nothing is waited for
        crew.kill9(crew.workers[0])
        if number in {0, 2}:
            crew.flush()
        if number == 1:
            cluster.stop()
            cluster.start()
        crew.hire()


def test_500_jobs_are_each_done_once(
    crew: Crew, cluster: Cluster, fake: FakeProviders, rider: Rider
) -> None:
    fake.script(SAID)
    asked = bodies()
    with ThreadPoolExecutor(4) as pool:
        made = pool.map(lambda n: make(crew, rider, n, *asked[n]), range(len(asked)))
        # Not in a thread: the server would end with the thread that has started it.
        disturb(crew, cluster)
        list(made)
    open_jobs = "SELECT count(*) FROM jobs_job WHERE finished IS NULL"
    wait_for(lambda: cluster.query(open_jobs) == [(0,)], 180, "every job has ended")
    fake.wait_until(lambda: fake.open == 0, timeout=10)

    states = cluster.query("SELECT kind, state, count(*) FROM jobs_job GROUP BY 1, 2 ORDER BY 1")
    assert states == [
        ("batch", "done", BATCHES), ("completion", "done", COMPLETIONS), ("noop", "done", NOOPS),
    ]  # fmt: skip
    ((posted, held),) = cluster.query(
        "SELECT posted, held FROM ledger_account WHERE id = %s", rider.wallet
    )
    captured = rider.funded - int(posted)
    assert (captured, held) == (CALLS * PRICE, 0)

    # The provider's bill: what was captured, and what it charged for answers that a worker died
    # with. Of those the records know, and say what they may have cost at most.
    ((lost, cost),) = cluster.query(
        "SELECT (SELECT sum(lost) FROM jobs_item), (SELECT sum(cost) FROM usage_call)"
    )
    billed = fake.bill()
    bill = microcredits(MODEL, input=billed.input, output=billed.output)
    died_with = (bill - captured) // PRICE
    assert int(str(lost)) > 0, "no worker was killed at work"
    assert bill == captured + died_with * PRICE
    assert 0 <= died_with <= int(str(lost))
    written_off = int(str(cost)) - captured
    assert written_off == int(str(lost)) * PRICE
    assert bill <= captured + written_off
    _assert_one_at_a_time(fake.requests)
    _assert_reconciled(crew)
    assert "Traceback" not in crew.web.log_text()


def _assert_one_at_a_time(served: list[Served]) -> None:
    """No item was ever asked by two workers at the same time."""
    times = defaultdict(list)
    for one in served:
        words = one.json["messages"][0]["content"]
        times[words].append((one.received, one.ended))
    assert len(times) == CALLS
    for words, spans in times.items():
        spans.sort()
        for (_, ended), (began, _) in pairwise(spans):
            assert ended <= began, words


def _assert_reconciled(crew: Crew) -> None:
    log = crew.home / "reconcile.log"
    proof = launch("manage", "reconcile", env=crew.environment, log=log)
    assert proof.wait(60) == 0, log.read_text()
