"""Who gets a socket: a ticket counts once, for half a minute, from where it may be used."""

import hashlib

import pytest
import redis
from django.conf import settings
from websockets.exceptions import InvalidStatus

from accounts import tickets
from accounts import verbs as accounts
from accounts.models import ApiKey
from tests.accounts.people import EXTENSION
from tests.accounts.sockets.client import (
    AccountSocket,
    key_headers,
    open_socket,
    ticket_url,
)

REFUSED = "this ticket is unknown, expired or spent; get a new one"


@pytest.fixture
def headers(rider):
    return key_headers(rider.secret)


def key_of(url):
    digest = hashlib.sha256(url.rpartition("=")[2].encode()).hexdigest()
    return f"farebox:ticket:{digest}"


def test_a_ticket_counts_once(farebox, headers):
    url = ticket_url(farebox, headers)
    with AccountSocket(url) as first:
        assert first.next()["type"] == "state"
        with AccountSocket(url) as again:
            assert again.closed() == (4401, REFUSED)
        assert first.is_quiet(0.1)


def test_an_expired_ticket_is_refused(farebox, headers):
    url = ticket_url(farebox, headers)
    with redis.Redis.from_url(settings.REDIS_URL) as valkey:
        assert 25 < valkey.ttl(key_of(url)) <= tickets.SECONDS == 30
        valkey.pexpire(key_of(url), 1)
        while valkey.exists(key_of(url)):
            pass
    with AccountSocket(url) as socket:
        assert socket.closed() == (4401, REFUSED)


@pytest.mark.parametrize(
    "query",
    ["", "?ticket=", "?ticket=nonsense", "?ticket=" + "A" * 43, "?ticket=%00&a=" + "&" * 99],
)
def test_without_a_ticket_there_is_no_state(farebox, query):
    with AccountSocket(f"ws://127.0.0.1:{farebox.port}/ws/account{query}") as socket:
        assert socket.closed() == (4401, REFUSED)


def test_no_key_in_the_address_or_a_header_opens_a_socket(farebox, rider, headers):
    url = f"ws://127.0.0.1:{farebox.port}/ws/account?ticket={rider.secret}&token={rider.secret}"
    with AccountSocket(url, additional_headers=headers) as socket:
        assert socket.closed() == (4401, REFUSED)


def test_a_credential_that_ended_meanwhile_opens_nothing(farebox, rider, headers):
    url = ticket_url(farebox, headers)
    accounts.revoke_key(key=ApiKey.objects.get())
    with AccountSocket(url) as socket:
        assert socket.closed() == (4401, "signed out")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1",
    "chrome-extension://" + "p" * 32, "http://127.0.0.1.evil.example", "file://"])  # fmt: skip
def test_a_foreign_origin_is_refused_and_spends_nothing(farebox, headers, origin):
    url = ticket_url(farebox, headers)
    with pytest.raises(InvalidStatus) as refusal, AccountSocket(url, origin=origin):
        pass
    assert refusal.value.response.status_code == 403
    with AccountSocket(url) as socket:
        assert socket.next()["type"] == "state"


def test_own_pages_and_extensions_are_let_in(farebox, headers):
    for origin in (farebox.url, f"chrome-extension://{EXTENSION}"):
        with open_socket(farebox, headers, origin=origin) as socket:
            assert socket.next()["type"] == "state"


def test_the_allowed_hosts_bound_what_is_an_own_page(farebox, headers):
    """A page of a name that somebody made point here (DNS rebinding)."""
    url = ticket_url(farebox, headers).replace("127.0.0.1", "localhost")
    with (
        pytest.raises(InvalidStatus),
        AccountSocket(url, origin=f"http://localhost:{farebox.port}"),
    ):
        pass


def test_other_addresses_are_no_sockets(farebox):
    with pytest.raises(InvalidStatus), AccountSocket(f"ws://127.0.0.1:{farebox.port}/ws/other"):
        pass
