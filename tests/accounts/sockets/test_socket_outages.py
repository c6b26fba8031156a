"""Valkey away and back: no payment waits, sockets stay, and what was missed is told."""

import random
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import httpx
import pytest

from devtools.embedded import Valkey
from devtools.processes import leashed
from ledger import verbs
from tests.accounts.sockets.client import key_headers, open_told
from tests.proxy.dialects import OPENAI
from tests.proxy.riders import CREDIT
from tests.proxy.server import wait_for


def steady_port():
    """A free port below those that the kernel hands out by itself."""
    for port in random.sample(range(20_000, 30_000), 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")


class OwnValkey:
    """A Valkey to stop and start at will."""

    def __init__(self, home, monkeypatch):
        # A port that no client is given meanwhile: one that asks its own would meet itself there.
        monkeypatch.setattr("devtools.embedded.free_port", steady_port)
        self._valkey = Valkey(home, lambda _words: None)
        self._service = self._valkey.prepare()
        self._process = None
        self.url = self._valkey.url

    def start(self):
        wait_for(self._answers, 60, "Valkey answers")

    def _answers(self):
        # One that has ended could not begin: what was there before had not quite gone.
        if self._process is None or self._process.poll() is not None:
            service = self._service
            self._process = subprocess.Popen(
                leashed(service.argv, service.stop_signal, service.user),
                env=dict(service.env), cwd=service.cwd, stdout=subprocess.DEVNULL,
            )  # fmt: skip
        return self._valkey.is_ready()

    def stop(self):
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(20)
            self._process = None


@pytest.fixture
def valkey(monkeypatch):
    # Not below pytest's own folder: another run that begins would lock the server's user out.
    with tempfile.TemporaryDirectory(prefix="fb-") as folder:
        home = Path(folder)
        home.chmod(0o711)  # the server's own user passes through
        (home / "logs").mkdir()
        valkey = OwnValkey(home, monkeypatch)
        valkey.start()
        yield valkey
        valkey.stop()


@pytest.fixture
def headers(rider):
    return key_headers(rider.secret)


def pay(farebox, rider):
    """A paid call through the proxy; answers how long it took."""
    began = time.monotonic()
    assert OPENAI.ask(farebox, rider.secret).status == 200
    return time.monotonic() - began


def test_while_it_is_away_sockets_stay_and_the_next_look_tells(own_farebox, valkey, rider, headers):
    farebox = own_farebox(REDIS_URL=valkey.url, SOCKET_REFRESH_SECONDS="2")
    with open_told(farebox, headers) as told:
        valkey.stop()
        assert pay(farebox, rider) < 2
        assert pay(farebox, rider) < 2
        spent = CREDIT * 1_000 - rider.account.posted
        left = CREDIT * 1_000 - spent
        heard = told.until("balance", 5)
        while heard["balance"]["posted"] != f"{left // CREDIT}.{left % CREDIT:06d}":
            heard = told.until("balance", 5)
        answer = httpx.post(f"{farebox.url}/api/ws-ticket", headers=headers, timeout=10)
        assert answer.status_code == 503
        valkey.start()
        assert told.is_quiet(0.1)
        with open_told(farebox, headers) as another:
            assert another.is_quiet(0.1)


def test_hints_are_heard_again_when_it_is_back(own_farebox, valkey, rider, headers):
    farebox = own_farebox(REDIS_URL=valkey.url, SOCKET_REFRESH_SECONDS="300")
    with open_told(farebox, headers) as told:
        for _ in range(2):
            valkey.stop()
            pay(farebox, rider)
            valkey.start()

            def is_heard():
                pay(farebox, rider)
                try:
                    return told.next(1)["type"] == "balance"
                except TimeoutError:
                    return False

            wait_for(is_heard, 20, "a hint is heard")


def test_a_hint_that_was_lost_is_made_up_for(own_farebox, valkey, rider, headers):
    farebox = own_farebox(REDIS_URL=valkey.url, SOCKET_REFRESH_SECONDS="1")
    with open_told(farebox, headers) as told:
        verbs.spend(account=rider.wallet, amount=1, key="s")  # its hint goes to another Valkey
        assert told.until("balance", 4)
