"""A real server for the account's socket, with real commits.

The shared server looks at users only when it is told (``SOCKET_REFRESH_SECONDS`` is long), so what
arrives within seconds came by a hint.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.accounts.people import EXTENSION
from tests.fakes.providers import FakeProviders
from tests.proxy.conftest import (
    assert_log_clean,
    clean_books,
    database_url,
    fake,
    fake_providers,
    lasting,
    price_list,
    rider,
    up_to_date,
)
from tests.proxy.server import Farebox, server_environment

__all__ = ["clean_books", "database_url", "fake", "fake_providers", "price_list", "rider"]

SETTINGS = {
    "SOCKET_REFRESH_SECONDS": "300",
    "EXTENSION_IDS": EXTENSION,
    "SECRET_KEY": os.environ["SECRET_KEY"],  # browsers sign in at this process, and are known there
}


@pytest.fixture(scope="session")
def socket_server(
    fake_providers: FakeProviders,
    database_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Farebox]:
    log = tmp_path_factory.mktemp("sockets") / "server.log"
    environment = server_environment(fake_providers, database_url, **SETTINGS)
    with lasting(Farebox(environment, log)) as farebox:
        yield farebox


@pytest.fixture
def farebox(socket_server: Farebox, fake: FakeProviders, clean_books: bool) -> Iterator[Farebox]:
    """The running server; its log is looked at when the test is over."""
    start = socket_server.log_size
    yield up_to_date(socket_server)
    assert_log_clean(socket_server.log_text(start), fake)
    assert "ticket=" not in socket_server.log_text(start)


@pytest.fixture
def own_farebox(
    fake: FakeProviders, database_url: str, clean_books: bool, tmp_path: Path
) -> Iterator[Callable[..., Farebox]]:
    """Starts servers with settings of the test's own."""
    started: list[Farebox] = []

    def start(**changes: str) -> Farebox:
        log = tmp_path / f"server{len(started)}.log"
        environment = server_environment(fake, database_url, **(SETTINGS | changes))
        started.append(Farebox(environment, log))
        return started[-1].start()

    yield start
    for farebox in started:
        farebox.stop()
        assert_log_clean(farebox.log_text(), fake)


@pytest.fixture(autouse=True)
def _quick_hashes() -> None:
    """Not here: who signs in at a server's process has the hash that it makes."""
