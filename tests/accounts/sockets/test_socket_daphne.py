"""The development server, daphne, serves the socket too, though it starts no lifespan."""

import pytest

from ledger import verbs
from tests.accounts.sockets.client import AccountSocket, key_headers, open_told
from tests.accounts.sockets.conftest import SETTINGS
from tests.accounts.sockets.servers import OtherServer
from tests.proxy.server import server_environment


@pytest.fixture
def daphne(fake, database_url, clean_books, tmp_path):
    environment = server_environment(fake, database_url, **SETTINGS)
    argv = ["daphne", "-b", "127.0.0.1", "config.asgi:application", "-p"]
    with OtherServer(argv, environment, tmp_path / "daphne.log") as server:
        yield server


def test_state_and_events_come_and_bounds_hold(daphne, rider):
    headers = key_headers(rider.secret)
    with open_told(daphne, headers) as socket:
        verbs.spend(account=rider.wallet, amount=1, key="s")
        assert socket.next(2)["type"] == "balance"
        socket.connection.send("x" * 1025)
        assert socket.closed()[0] == 4009  # it sends none of the protocol's own codes
    with AccountSocket(f"ws://127.0.0.1:{daphne.port}/ws/account") as socket:
        assert socket.closed()[0] == 4401
