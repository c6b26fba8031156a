"""The server's own pings: whoever does not answer is dropped, even with bytes still to take."""

import pytest

from accounts import events
from tests.accounts.sockets.client import is_connected, key_headers, open_deaf, open_told
from tests.accounts.sockets.conftest import SETTINGS
from tests.accounts.sockets.servers import OtherServer
from tests.proxy.server import served, server_environment, wait_for


@pytest.fixture
def impatient(fake, database_url, clean_books, tmp_path):
    environment = server_environment(fake, database_url, **SETTINGS)
    argv = ["uvicorn", "config.asgi:application", *served(), "--no-access-log",
            "--ws-ping-interval", "1", "--ws-ping-timeout", "1", "--port"]  # fmt: skip
    with OtherServer(argv, environment, tmp_path / "server.log") as server:
        yield server


def test_who_does_not_answer_is_dropped(impatient, rider):
    headers = key_headers(rider.secret)
    deaf, stuffed = open_deaf(impatient, headers), open_deaf(impatient, headers)
    with open_told(impatient, headers) as good:
        for n in range(10):  # more than the kernel takes for a client that does not read
            events.publish(rider.user.pk, "job", {"id": str(n), "note": "x" * 15_000})
        for raw in (deaf, stuffed):
            wait_for(lambda raw=raw: not is_connected(impatient, raw), 8, "it is dropped")
        assert good.until("job", job={"id": "9", "note": "x" * 15_000})
        assert good.is_quiet(3)
    deaf.close()
    stuffed.close()
