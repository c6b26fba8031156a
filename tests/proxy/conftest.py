"""The proxy's tests: a real server process, a fake of both providers, real commits.

``farebox`` is shared by all tests of an xdist worker, since each start costs seconds. When a test
that used it is over, it proves that nothing was left behind: no answer of a provider is open, no
hold is, the books reconcile, and the server's log holds no secret and no unexpected error.
"""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.db import connection
from django.test import override_settings
from psycopg.conninfo import make_conninfo

from ledger.models import Hold
from tests.emptying import empty, leave_models
from tests.fakes.providers import FakeProviders
from tests.planting import plant_beside_models
from tests.proving import prove
from tests.proxy.dialects import Dialect, Reply
from tests.proxy.outcomes import assert_keeps_secrets
from tests.proxy.riders import Rider, make_rider
from tests.proxy.server import SECRET_KEY, Farebox, server_environment, wait_for
from usage.models import AIModel, Price
from usage.sync import sync_models

KEPT = {
    "django_migrations", "django_content_type", "auth_permission", "usage_aimodel", "usage_price",
    "usage_provider", "usage_providerkey", "usage_modelroute",
}  # fmt: skip
Rows = list[Any]

logging.getLogger("httpx").setLevel(logging.WARNING)  # a line a request says nothing here
logging.getLogger("httpx2").setLevel(logging.WARNING)


@pytest.fixture(scope="session")
def fake_providers() -> Iterator[FakeProviders]:
    with FakeProviders() as fake:
        yield fake


@pytest.fixture
def fake(fake_providers: FakeProviders) -> Iterator[FakeProviders]:
    """Both providers, with nothing scripted and nothing recorded."""
    fake_providers.reset()
    yield fake_providers
    fake_providers.reset()


@pytest.fixture(scope="session")
def price_list(django_db_setup: None, django_db_blocker: Any) -> tuple[Rows, Rows]:
    """Models and prices as ``sync_models`` writes them with both providers' keys configured."""
    with django_db_blocker.unblock():
        Price.objects.all().delete()
        AIModel.objects.all().delete()
        with override_settings(OPENAI_API_KEY="any", ANTHROPIC_API_KEY="any"):
            sync_models()
        rows = (list(AIModel.objects.values()), list(Price.objects.values()))
        connection.close()
    return rows


# Servers that run through many tests, and those of them whose catalog may be of a time when other
# tests had emptied the tables.
_running: set[Farebox] = set()
_behind: set[Farebox] = set()


@contextmanager
def lasting(server: Farebox) -> Iterator[Farebox]:
    """A server for many tests; ``up_to_date`` says when it may be asked."""
    _running.add(server.start())
    yield server
    _running.remove(server)
    _behind.discard(server)
    server.stop()


def up_to_date(server: Farebox) -> Farebox:
    """The server, once it knows the models; after ``clean_books``."""
    if server in _behind:
        _wait_for_catalog(server)
        _behind.remove(server)
    return server


@pytest.fixture
def clean_books(price_list: tuple[Rows, Rows], django_db_blocker: Any) -> Iterator[bool]:
    """As everywhere, but the models stay, since the running server reads them at any time.

    True when tests of other folders had emptied their tables.
    """
    with django_db_blocker.unblock():
        models, prices = price_list
        known = [row["id"] for row in prices]
        restored = Price.objects.filter(pk__in=known).count() != len(prices)
        if restored:
            _behind.update(_running)
            Price.objects.all().delete()
            AIModel.objects.all().delete()
            AIModel.objects.bulk_create(AIModel(**row) for row in models)
            Price.objects.bulk_create(Price(**row) for row in prices)
        yield restored
        leave_models()
        empty(KEPT)
        plant_beside_models()
        connection.close()


@pytest.fixture(scope="session")
def database_url(price_list: tuple[Rows, Rows]) -> str:
    settings = connection.settings_dict
    return make_conninfo(
        dbname=settings["NAME"],
        user=settings["USER"] or None,
        password=settings["PASSWORD"] or None,
        host=settings["HOST"] or None,
        port=settings["PORT"] or None,
    )


@pytest.fixture(scope="session")
def server(
    fake_providers: FakeProviders,
    database_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Farebox]:
    log = tmp_path_factory.mktemp("farebox") / "server.log"
    with lasting(Farebox(server_environment(fake_providers, database_url), log)) as farebox:
        yield farebox


@pytest.fixture
def farebox(server: Farebox, fake: FakeProviders, clean_books: bool) -> Iterator[Farebox]:
    """The running server; what it left behind is looked at when the test is over."""
    start = server.log_size
    yield up_to_date(server)
    assert_all_settled(fake)
    assert_log_clean(server.log_text(start), fake)


@pytest.fixture
def own_farebox(
    fake: FakeProviders, database_url: str, clean_books: bool, tmp_path: Path
) -> Iterator[Callable[..., Farebox]]:
    """Starts servers with settings of the test's own: ``own_farebox(MAX_CHOICES="2")``."""
    started: list[Farebox] = []

    def start(**changes: str) -> Farebox:
        url = changes.pop("DATABASE_URL", database_url)
        log = tmp_path / f"server{len(started)}.log"
        started.append(Farebox(server_environment(fake, url, **changes), log))
        return started[-1].start()

    yield start
    for farebox in started:
        farebox.stop()
        assert_log_clean(farebox.log_text(), fake)


@pytest.fixture
def rider(clean_books: bool) -> Rider:
    """Somebody with 1,000 credits, a key, and a plan without limits."""
    return make_rider()


@pytest.fixture
def refused(farebox: Farebox, fake: FakeProviders, rider: Rider) -> Iterator[Callable[..., Reply]]:
    """Asks, expects a status; afterwards nothing was held and no provider was asked."""

    def refused(dialect: Dialect, status: int, *, param: str | None = None, **how: Any) -> Reply:
        words = {"code": how.pop("code", None), "param": param}
        reply = dialect.ask(farebox, how.pop("key", rider.secret), **how)
        dialect.assert_refused(reply, status, **words)
        assert_keeps_secrets(reply, fake)
        assert "x-farebox-call" not in reply.headers
        return reply

    yield refused
    rider.assert_untouched()
    assert fake.requests == []


def assert_all_settled(fake: FakeProviders) -> None:
    """Upstream is closed, no hold is open, and the books reconcile."""
    wait_for(lambda: fake.open == 0, 10, "every provider's answer is over")
    wait_for(
        lambda: not Hold.objects.filter(state=Hold.State.OPEN).exists(), 10, "every hold ended"
    )
    prove()


def assert_log_clean(log: str, fake: FakeProviders) -> None:
    """No secret, and nothing that was not foreseen."""
    for secret in (fake.openai_key, fake.anthropic_key, SECRET_KEY):
        assert secret not in log
        assert secret[:14] not in log, "part of a secret is logged"
    assert not re.search(r"fb_[0-9A-Za-z]{40}", log), "a client's key is logged"
    assert "Traceback" not in log, log[-8_000:]


def _wait_for_catalog(server: Farebox) -> None:
    somebody = make_rider("catalog@example.com", credits=0)

    def knows_models() -> bool:
        headers = {"authorization": f"Bearer {somebody.secret}"}
        return bool(httpx.get(f"{server.url}/v1/models", headers=headers).json().get("data"))

    wait_for(knows_models, 15, "the server has read the catalog anew")


@pytest.fixture(autouse=True)
def _quick_hashes() -> None:
    """Not here: who signs in at a server's process has the hash that it makes."""
