"""Failure table: the database is away. Nothing is spent unheld, and a finish outlasts an outage.

The server runs on a PostgreSQL of the test's own, which is stopped and started for real. Times are
the point here, so the settings are the quick ones of ``server.QUICK``.
"""

import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest

from tests.fakes.providers import Behaviour, FakeProviders, Fault, Usage
from tests.proxy.by_hand import microcredits
from tests.proxy.cluster import Cluster
from tests.proxy.dialects import BOTH, OPENAI
from tests.proxy.riders import Rider, make_rider
from tests.proxy.server import Farebox, wait_for
from tests.proxy.wire import Wire

pytestmark = pytest.mark.xdist_group("proxy-slow")


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[Cluster]:
    # Not below pytest's folder, which it closes to other users, the server's among them.
    with TemporaryDirectory(prefix="farebox-cluster-") as home:
        cluster = Cluster(Path(home))
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.close()


@pytest.fixture(scope="module")
def copied() -> list[Rider]:
    """Whom the cluster knows, once it has its copy."""
    return []


@pytest.fixture
def rider(own_cluster: Cluster, copied: list[Rider], database_url: str, clean_books: bool) -> Rider:
    """Somebody in the cluster's copy, which is made for the first test and serves all."""
    if not copied:
        rider = make_rider()
        own_cluster.copy(database_url)
        copied.append(rider)
    return copied[0]


@pytest.fixture
def cluster(own_cluster: Cluster, rider: Rider) -> Iterator[Cluster]:
    """It runs, and does so again after a test that has stopped it."""
    yield own_cluster
    own_cluster.start()


def test_an_outage_from_begin_to_finish(
    cluster: Cluster,
    own_farebox: Callable[..., Farebox],
    fake: FakeProviders,
    rider: Rider,
) -> None:
    farebox = own_farebox(DATABASE_URL=cluster.url)

    def state() -> dict[str, Any]:
        ((posted, held, calls, open_holds),) = cluster.query(
            "SELECT posted, held, (SELECT count(*) FROM usage_call),"
            " (SELECT count(*) FROM ledger_hold WHERE state = 'open')"
            " FROM ledger_account WHERE id = %s",
            rider.wallet,
        )
        return {"posted": posted, "held": held, "calls": calls, "open": open_holds}

    assert OPENAI.ask(farebox, rider.secret).status == 200
    spent = rider.funded - state()["posted"]
    assert spent > 0

    # A stream has begun when the database goes, and ends while it is away.
    fake.script(Behaviour(events=6, delay=0.2, usage=Usage(input=1_000, output=10)))
    with ThreadPoolExecutor(1) as pool:
        streamed = pool.submit(OPENAI.ask, farebox, rider.secret, stream=True)
        fake.wait_until(lambda: fake.open == 1)
        cluster.stop()
        reply = streamed.result(20)
    assert reply.whole, "the client is not to wait for our database"
    assert OPENAI.text(reply) == "word " * 6

    # While it is away nothing is begun, and nobody is asked.
    asked = len(fake.requests)
    for dialect in BOTH:
        refused = dialect.ask(farebox, rider.secret, stream=dialect is OPENAI)
        dialect.assert_refused(refused, 503)
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert "x-should-retry" not in refused.headers
    assert len(fake.requests) == asked
    signed_in = {"cookie": f"sessionid={'s' * 32}"}
    page = httpx.get(farebox.url + "/dashboard/", headers=signed_in, timeout=30, trust_env=False)
    assert (page.status_code, page.headers["retry-after"]) == (503, "5")
    assert "try again shortly" in page.text

    # It is back: the finish that was kept arrives, once, and calls go on without a restart.
    cluster.start()
    wait_for(lambda: state()["open"] == 0, 15, "the finish arrives by itself")
    price = microcredits("gpt-4o-mini", input=1_000, output=10)
    assert state() == {"posted": rider.funded - spent - price, "held": 0, "calls": 2, "open": 0}
    wait_for(lambda: OPENAI.ask(farebox, rider.secret).status == 200, 10, "calls go on")
    assert state()["held"] == 0
    assert cluster.query("SELECT status, estimated FROM usage_call ORDER BY started") == [
        ("completed", False)
    ] * int(state()["calls"])


def test_a_server_that_starts_while_it_is_away_answers_when_it_is_back(
    cluster: Cluster,
    own_farebox: Callable[..., Farebox],
    fake: FakeProviders,
    rider: Rider,
) -> None:
    cluster.stop()
    farebox = own_farebox(DATABASE_URL=cluster.url)
    OPENAI.assert_refused(OPENAI.ask(farebox, rider.secret), 503)
    assert fake.requests == []
    cluster.start()
    wait_for(lambda: OPENAI.ask(farebox, rider.secret).status == 200, 10, "calls go on")


def test_told_to_end_while_it_is_away_it_leaves_calls_to_the_sweep(
    cluster: Cluster, own_farebox: Callable[..., Farebox], fake: FakeProviders, rider: Rider
) -> None:
    farebox = own_farebox(
        DATABASE_URL=cluster.url, SHUTDOWN_SECONDS="1", UPSTREAM_IDLE_SECONDS="60"
    )
    kept = "SELECT count(*) FROM ledger_hold WHERE state = 'open' AND checkpoint IS NOT NULL"
    fake.script(Behaviour(events=10, fault=Fault.stall(4)))
    with Wire(farebox) as wire:
        wire.ask(OPENAI, rider.secret, stream=True)
        wire.read_until(b"word ")
        wait_for(lambda: cluster.query(kept) == [(1,)], 10, "what is owed is written down")
        cluster.stop()
        began = time.monotonic()
        assert farebox.end(signal.SIGTERM) == 0
        assert time.monotonic() - began < 1 + 15
        assert b"starting anew" in wire.read_all()
    assert "left to the sweep" in farebox.log_text()
    cluster.start()
    assert cluster.query(kept) == [(1,)]
