"""Jobs: real commits, a fake of both providers, and workers in threads or processes of their own.

A worker in a thread is the one that a process of Celery's has, without the process: most of what
jobs do needs no more. When a test is over, the books reconcile and no hold is open.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections

from ledger.models import Hold
from tests.fakes.providers import FakeProviders
from tests.jobs.hands import Hand
from tests.proving import prove
from tests.proxy.conftest import (
    clean_books,
    database_url,
    fake,
    fake_providers,
    price_list,
    rider,
)
from tests.proxy.server import wait_for

__all__ = ["clean_books", "database_url", "fake", "fake_providers", "price_list", "rider"]


@pytest.fixture
def configured(settings: Any, fake: FakeProviders, database_url: str, tmp_path: Any) -> Any:
    """This process's settings, as a worker's: the fake is both providers, and leases are short."""
    settings.DATABASE_URL = database_url
    settings.OPENAI_API_KEY = fake.openai_key
    settings.OPENAI_BASE_URL = fake.openai_base_url
    settings.ANTHROPIC_API_KEY = fake.anthropic_key
    settings.ANTHROPIC_BASE_URL = fake.anthropic_base_url
    settings.JOB_LEASE_SECONDS = 5
    settings.JOB_RETRY_SECONDS = 1
    settings.PROXY_POOL_SIZE = 4
    jobs = settings.STORAGES["jobs"] | {"OPTIONS": {"location": str(tmp_path / "files")}}
    settings.STORAGES = settings.STORAGES | {"jobs": jobs}
    return settings


@pytest.fixture
def hire(configured: Any, clean_books: bool, fake: FakeProviders) -> Iterator[Callable[[], Hand]]:
    """Makes workers in threads."""
    hands: list[Hand] = []

    def hire() -> Hand:
        hands.append(Hand().start())
        return hands[-1]

    yield hire
    for hand in hands:
        hand.stop()
    wait_for(lambda: fake.open == 0, 10, "every provider's answer is over")
    assert not Hold.objects.filter(state=Hold.State.OPEN).exists()
    prove()
    connections.close_all()
