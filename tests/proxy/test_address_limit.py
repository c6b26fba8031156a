"""An address that is not let through is refused before anything is looked up; nobody else is."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from django.db import connection, transaction
from django.db.models import Model

from accounts.keys import new_key
from accounts.models import ApiKey
from common.errors import RateLimited
from proxy.limits import AddressLimit, Buckets
from tests.fakes.providers import FakeProviders
from tests.proxy.conftest import assert_all_settled, assert_log_clean, lasting, up_to_date
from tests.proxy.dialects import BOTH, OPENAI, Dialect, Reply
from tests.proxy.riders import Rider
from tests.proxy.server import Farebox, server_environment

pytestmark = pytest.mark.xdist_group("proxy-limits")

FEW = 5


def ask(farebox: Farebox, address: str, dialect: Dialect = OPENAI, key: str = "") -> Reply:
    headers = {"x-forwarded-for": address}
    return dialect.ask(farebox, key or new_key(), headers=headers)


def statuses(farebox: Farebox, address: str, times: int = FEW + 2, key: str = "") -> list[int]:
    return [ask(farebox, address, key=key).status for _ in range(times)]


@pytest.fixture(scope="module")
def limited_server(
    fake_providers: FakeProviders, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Farebox]:
    """Behind one proxy, taking few calls an hour from an address."""
    environment = server_environment(
        fake_providers, database_url, TRUSTED_PROXY_COUNT="1", PROXY_RATE_ADDRESS=f"{FEW}/hour"
    )
    log = tmp_path_factory.mktemp("limited") / "server.log"
    with lasting(Farebox(environment, log)) as farebox:
        yield farebox


@pytest.fixture
def limited(limited_server: Farebox, fake: FakeProviders, clean_books: bool) -> Iterator[Farebox]:
    start = limited_server.log_size
    yield up_to_date(limited_server)
    assert_all_settled(fake)
    assert_log_clean(limited_server.log_text(start), fake)


@contextmanager
def locked(model: type[Model]) -> Iterator[None]:
    """Who reads its table waits."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {model._meta.db_table} IN ACCESS EXCLUSIVE MODE")
        yield


def test_nothing_is_looked_up(limited: Farebox) -> None:
    """While keys can't be read, who would be looked up waits."""
    address = "203.0.113.10"
    assert statuses(limited, address, FEW) == [401] * FEW
    with locked(ApiKey), httpx.Client(base_url=limited.url, trust_env=False) as client:
        for dialect in BOTH:
            reply = ask(limited, address, dialect)
            assert "address" in dialect.assert_refused(reply, 429)
            assert reply.headers["retry-after"] == "60"
        headers = {"x-forwarded-for": address, "authorization": f"Bearer {new_key()}"}
        for path in ("/v1/models", "/v1/nothing"):
            assert client.get(path, headers=headers).status_code == 429
        headers |= {"x-forwarded-for": "203.0.113.11"}
        with pytest.raises(httpx.ReadTimeout):
            client.get("/v1/models", headers=headers, timeout=1)


def test_an_address_is_the_one_our_proxy_saw(limited: Farebox, rider: Rider) -> None:
    farebox = limited
    assert statuses(farebox, "203.0.113.9") == [401] * FEW + [429] * 2
    # What the client writes itself neither helps it nor harms another.
    assert statuses(farebox, "198.51.100.7, 203.0.113.9", 1) == [429]
    assert statuses(farebox, "203.0.113.9, 198.51.100.7", 1) == [401]
    # A household has an IPv6 /64.
    assert statuses(farebox, "2001:db8::1") == [401] * FEW + [429] * 2
    assert statuses(farebox, "2001:db8::2", 1) == [429]
    assert statuses(farebox, "2001:db8:0:1::1", 1) == [401]
    # Loopback is the operator's own.
    assert 429 not in statuses(farebox, "127.0.0.1", 2 * FEW)
    assert 429 not in statuses(farebox, "::1", 2 * FEW)

    # Who is let through does not count: their plan limits them.
    assert statuses(farebox, "192.0.2.1", 2 * FEW, rider.secret) == [200] * 2 * FEW
    assert statuses(farebox, "192.0.2.1") == [401] * FEW + [429] * 2


def enter(limit: AddressLimit, peer: str, *forwarded: str) -> str | None:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    return limit.enter({"client": (peer, 1234), "headers": headers})


def test_without_a_proxy_of_ours_the_header_is_ignored() -> None:
    limit = AddressLimit(f"{FEW}/hour", behind_proxies=False)
    for number in range(FEW):
        assert enter(limit, "203.0.113.9", f"198.51.100.{number}") == "203.0.113.9/32"
    with pytest.raises(RateLimited):
        enter(limit, "203.0.113.9", "198.51.100.99")
    assert enter(limit, "127.0.0.1", "203.0.113.9") is None


def test_a_header_given_twice_or_very_long_is_read_from_its_end(settings: Any) -> None:
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    limit = AddressLimit(f"{FEW}/hour", behind_proxies=True)
    ours = "203.0.113.9"
    for written in (["198.51.100.7", ours], ["x" * 100_000 + "," + ours], [f"198.51.100.7,{ours}"]):
        assert enter(limit, "192.0.2.1", *written) == f"{ours}/32"
    assert enter(limit, "192.0.2.1", "nonsense") == "192.0.2.1/32"


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_is_a_burst_refilled_evenly() -> None:
    clock = Clock()
    buckets = Buckets("6/minute", clock=clock)
    assert [buckets.take("a") for _ in range(8)] == [0] * 6 + [10] * 2
    assert buckets.take("b") == 0
    clock.now += 9.5
    assert buckets.take("a") == 1
    clock.now += 0.5
    assert [buckets.take("a") for _ in range(2)] == [0, 10]
    clock.now += 3_600
    assert [buckets.take("a") for _ in range(7)] == [0] * 6 + [10]


def test_what_is_given_back_was_never_taken() -> None:
    clock = Clock()
    buckets = Buckets("2/minute", clock=clock)
    for _ in range(10):
        assert buckets.take("a") == 0
        buckets.give_back("a")
    assert [buckets.take("a") for _ in range(3)] == [0, 0, 30]
    clock.now += 3_600
    buckets.give_back("a")
    assert [buckets.take("a") for _ in range(3)] == [0, 0, 30], "no more than a burst is saved up"


def test_memory_is_bounded_and_a_flood_refuses_nobody() -> None:
    buckets = Buckets("2/minute", most=100, clock=Clock())
    chance = random.Random(1)
    most = 0
    for number in range(5_000):
        assert buckets.take(f"flood {number}") == 0
        if chance.random() < 0.1:
            buckets.give_back(f"flood {number - chance.randint(0, 300)}")
        most = max(most, len(buckets))
    assert most <= 200


def test_who_keeps_coming_is_not_forgotten_by_a_few_others() -> None:
    buckets = Buckets("2/hour", most=100, clock=Clock())
    assert [buckets.take("guesser") for _ in range(2)] == [0, 0]
    for number in range(99):
        buckets.take(f"other {number}")
    assert buckets.take("guesser") > 0
