"""Everything at once: 500 jobs of mixed kinds, workers killed with -9 one after the other, Valkey
emptied twice, PostgreSQL restarted. Each job is done once, and the provider's bill for it is what
was captured and what was written off, to the microcredit.

The provider charges for all it was asked, and a worker that is killed says nothing any more: that
an item was begun is what is known. Between that commit and the request is a moment of which nobody
can know whether anything was asked. Workers are killed at others here, so that the equation is
strict; in ``test_killed_workers`` is what is booked when the provider charged for nothing.

The control, in which a killed worker's jobs are lost, is in ``test_killed_workers``.
"""

import json
import time
from collections import Counter, defaultdict
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
from tests.jobs.crew import WORKERS_NAME, Crew
from tests.proxy.by_hand import microcredits
from tests.proxy.cluster import Cluster
from tests.proxy.riders import Rider
from tests.proxy.server import wait_for
from tests.zygote import launch

pytestmark = pytest.mark.xdist_group("jobs-slow")
SAID = Behaviour(events=5, usage=Usage(input=20), plain_delay=0.4, charges_asked=True)
PRICE = microcredits(MODEL, input=20, output=5)
NOOPS, COMPLETIONS, BATCHES, ITEMS = 220, 240, 40, 4
CALLS = COMPLETIONS + BATCHES * ITEMS
KILLS = 4
_ACTIVE = """
SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND state <> 'idle'
"""
_BOOKED = """
SELECT j.key, i.place, c.spent, c.cost FROM jobs_item i
JOIN jobs_job j ON j.id = i.job_id JOIN usage_call c ON c.id = i.call
"""


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


def words_of(body: Any) -> str:
    return str(body["messages"][0]["content"])


def is_at_rest(cluster: Cluster, fake: FakeProviders) -> bool:
    """Whether the provider has got each request of which the records say that it was begun, once
    nothing is on its way to the database any more."""
    for _ in range(2):
        time.sleep(0.03)  # what was sent has come
        if cluster.query(_ACTIVE, WORKERS_NAME) != [(0,)]:
            return False
    asked = Counter(words_of(one.json) for one in fake.requests)
    begun = cluster.query("SELECT input, lost FROM jobs_item WHERE state = 'running'")
    return all(asked[words_of(json.loads(str(text)))] == int(str(n)) + 1 for text, n in begun)


def kill_at_rest(crew: Crew, cluster: Cluster, fake: FakeProviders) -> None:
    deadline = time.monotonic() + 60
    while True:
        with crew.frozen():
            if is_at_rest(cluster, fake):
                crew.kill9(crew.workers[0])
                return
        assert time.monotonic() < deadline, "the workers are never at rest"
        time.sleep(0.3)  # they go on for longer than they stand still


def disturb(crew: Crew, cluster: Cluster, fake: FakeProviders) -> None:
    """Kill workers, empty Valkey, restart PostgreSQL, while jobs are made and done."""
    for number in range(KILLS):
        time.sleep(3)  # of the storm's course; nothing is waited for
        kill_at_rest(crew, cluster, fake)
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
        disturb(crew, cluster, fake)
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

    ((lost,),) = cluster.query("SELECT sum(lost) FROM jobs_item")
    assert int(str(lost)) > 0, "no worker was killed at work"
    _assert_billed(cluster, asked, fake.requests)
    _assert_one_at_a_time(fake.requests)
    _assert_reconciled(crew)
    assert "Traceback" not in crew.web.log_text()


def _assert_billed(cluster: Cluster, asked: list[tuple[str, Any]], served: list[Served]) -> None:
    """Of each item: the provider's bill = captured + written off."""
    bills: dict[str, int] = defaultdict(int)
    for one in served:
        bills[words_of(one.json)] += microcredits(
            MODEL, input=one.input_tokens, output=one.output_tokens
        )
    booked = {}
    for key, place, spent, cost in cluster.query(_BOOKED):
        _, given = asked[int(str(key).removeprefix("job "))]
        body = given["requests"][place] if "requests" in given else given
        assert spent == PRICE
        booked[words_of(body)] = int(str(cost))  # what was spent, and what was written off
    assert len(booked) == CALLS
    assert bills == booked
    assert sum(bills.values()) > CALLS * PRICE, "nothing was written off"


def _assert_one_at_a_time(served: list[Served]) -> None:
    """No item was ever asked by two workers at the same time."""
    times = defaultdict(list)
    for one in served:
        times[words_of(one.json)].append((one.received, one.ended))
    assert len(times) == CALLS
    for words, spans in times.items():
        spans.sort()
        for (_, ended), (began, _) in pairwise(spans):
            assert ended <= began, words


def _assert_reconciled(crew: Crew) -> None:
    log = crew.home / "reconcile.log"
    proof = launch("manage", "reconcile", env=crew.environment, log=log)
    assert proof.wait(60) == 0, log.read_text()
