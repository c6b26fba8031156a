"""What one client can make a process keep or do is bounded, and others do not feel it."""

import json
import time

import pytest
from websockets.exceptions import ConnectionClosed

from accounts import events
from accounts.consumers import MOST_MESSAGES, MOST_WAITING, SEND_SECONDS
from accounts.hub import SOCKETS_PER_USER
from ledger import verbs
from tests.accounts.sockets.client import (
    AccountSocket,
    is_connected,
    key_headers,
    open_deaf,
    open_told,
    ticket_url,
)
from tests.proxy.server import wait_for

LARGE = "x" * 15_000


@pytest.fixture
def headers(rider):
    return key_headers(rider.secret)


def publish(user, count, start=0):
    for n in range(start, start + count):
        events.publish(user.pk, "job", {"id": str(n), "note": LARGE})


def send_on(raw, data):
    for _ in range(20_000):
        raw.sendall(data)


def test_a_reader_who_lets_too_much_wait_is_dropped_and_no_other_waits(farebox, rider, headers):
    deaf = open_deaf(farebox, headers)
    with open_told(farebox, headers) as good:
        assert is_connected(farebox, deaf)
        count = 3 * MOST_WAITING
        for start in range(0, count, 10):
            publish(rider.user, 10, start)
            began = time.monotonic()
            for n in range(start, start + 10):
                assert good.next()["job"]["id"] == str(n)
            # Who waited for the deaf one would do so until its time is up.
            assert time.monotonic() - began < SEND_SECONDS / 2
        wait_for(lambda: not is_connected(farebox, deaf), 5, "the deaf one is dropped")
        assert good.is_quiet(0.1)
    deaf.close()


def test_one_message_that_is_not_taken_for_long_is_enough(farebox, rider, headers):
    deaf = open_deaf(farebox, headers)
    publish(rider.user, 20)  # fills what the kernel and the server buffer, and no more waits
    with open_told(farebox, headers) as good:
        time.sleep(1)
        assert is_connected(farebox, deaf)
        verbs.spend(account=rider.wallet, amount=1, key="s")
        assert good.until("balance", SEND_SECONDS / 2)
        wait_for(lambda: not is_connected(farebox, deaf), 20, "the deaf one is dropped")
        assert good.is_quiet(0.1)
    deaf.close()


def test_pings_are_answered_and_all_else_is_ignored(farebox, headers):
    with open_told(farebox, headers) as socket:
        for words in ("", "[]", "null", '"ping"', "{", '{"type": ["ping"]}', b"\xff\xfe"):
            socket.connection.send(words)
        socket.connection.send(json.dumps({"type": "ping", "more": 1}))
        assert socket.next() == {"type": "pong"}
        assert socket.is_quiet(1)


def test_too_many_messages_close(farebox, headers):
    with open_told(farebox, headers) as socket:
        for _ in range(MOST_MESSAGES + 1):
            socket.connection.send('{"type": "ping"}')
        assert socket.closed() == (1008, f"at most {MOST_MESSAGES} messages a second")


def test_too_large_a_message_closes(farebox, headers):
    with open_told(farebox, headers) as socket:
        socket.connection.send("x" * 1024)
        assert socket.is_quiet(0.1)
        socket.connection.send("x" * 1025)
        assert socket.closed()[0] == 1009


def test_a_flood_of_control_frames_that_are_not_read_is_dropped(farebox, headers):
    """The server answers each without asking whether the client reads."""
    deaf = open_deaf(farebox, headers)
    ping = b"\x89\xfd" + b"\0\0\0\0" + b"p" * 125
    deaf.settimeout(5)
    with pytest.raises(OSError, match=r"reset|pipe"):
        send_on(deaf, ping * 10)
    wait_for(lambda: not is_connected(farebox, deaf), 5, "the deaf one is dropped")
    deaf.close()


def test_a_user_has_so_many_sockets_and_no_more(farebox, headers):
    opened = [open_told(farebox, headers) for _ in range(SOCKETS_PER_USER)]
    with AccountSocket(ticket_url(farebox, headers)) as refused:
        code, reason = refused.closed()
    assert code == 4429
    assert "close one" in reason
    opened.pop().__exit__()

    def is_let_in():
        with AccountSocket(ticket_url(farebox, headers)) as another:
            try:
                return another.next()["type"] == "state"
            except ConnectionClosed:
                return False

    wait_for(is_let_in, 5, "a place is free")
    for socket in opened:
        assert socket.is_quiet(0)
        socket.connection.close()


def test_what_is_too_large_is_not_sent(farebox, rider, headers):
    with open_told(farebox, headers) as socket:
        events.publish(rider.user.pk, "job", {"id": "1", "result": "x" * 17_000})
        assert socket.is_quiet()


def test_a_server_that_stops_says_so(own_farebox, headers):
    farebox = own_farebox()
    with open_told(farebox, headers) as socket:
        assert farebox.sigterm() in {0, -15}
        assert socket.closed()[0] == 1012  # service restart
