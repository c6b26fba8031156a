"""``POST /api/ws-ticket``: who gets a ticket, and what is kept of it."""

import hashlib
import re
import select
import socket
import socketserver
import threading
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis
from asgiref.sync import async_to_sync
from django.conf import settings
from django.test import override_settings

from accounts import tickets
from accounts.access import Credential
from accounts.models import ApiKey
from common.errors import Unavailable

pytestmark = pytest.mark.django_db

PATH = "/api/ws-ticket"


@pytest.fixture
def valkey():
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        yield client


@contextmanager
def losing_an_answer(url):
    """A way to the server behind ``url`` that passes the first ticket on, and dies when the
    answer to it comes."""
    parts = urlsplit(url)
    lost = threading.Event()

    class Relay(socketserver.BaseRequestHandler):
        def handle(self):
            with socket.create_connection((parts.hostname, parts.port)) as server:
                asked = False
                while found := select.select([self.request, server], [], [])[0]:
                    data = found[0].recv(65_536)
                    if data and asked and not lost.is_set():
                        lost.set()
                        return
                    if not data:
                        return
                    asked = asked or b"farebox:ticket" in data
                    (server if found[0] is self.request else self.request).sendall(data)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Relay) as relay:
        threading.Thread(target=relay.serve_forever, daemon=True).start()
        try:
            yield (
                urlunsplit(
                    parts._replace(netloc=f":{parts.password}@127.0.0.1:{relay.server_address[1]}")
                ),
                lost,
            )
        finally:
            relay.shutdown()


@async_to_sync
async def redeem(ticket):
    """In a loop of its own, which leaves no connection behind."""
    try:
        return await tickets.redeem(ticket)
    finally:
        await tickets.close()


def post(client, secret):
    return client.post(PATH, headers={"authorization": f"Bearer {secret}"})


@override_settings(PUBLIC_URL="https://farebox.example.com/base")
def test_a_ticket_comes_with_its_address(client, api_key):
    answer = post(client, api_key.secret)
    assert answer.status_code == 201
    body = answer.json()
    assert set(body) == {"ticket", "expires_in", "url"}
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", body["ticket"])  # 256 bits
    assert body["expires_in"] == 30
    ticket = body["ticket"]
    assert body["url"] == f"wss://farebox.example.com/base/ws/account?ticket={ticket}"
    assert answer["cache-control"] == "no-store"


def test_valkey_knows_neither_the_ticket_nor_the_credential(client, api_key, valkey):
    ticket = post(client, api_key.secret).json()["ticket"]
    digest = hashlib.sha256(ticket.encode()).hexdigest()
    kept = valkey.get(f"farebox:ticket:{digest}")
    assert bytes(api_key.key.digest).hex().encode() not in kept
    assert not list(valkey.scan_iter(f"*{ticket}*"))


def test_a_ticket_is_redeemed_once(user, api_key):
    credential = Credential("key", bytes(api_key.key.digest).hex(), user.pk)
    ticket = tickets.make(credential)
    assert redeem(ticket) == credential
    assert redeem(ticket) is None


def test_a_ticket_whose_answer_was_lost_on_the_way_is_not_lost(user):
    """The client asks again by itself; a connection that dies must not cost the ticket."""
    credential = Credential("session", "s" * 32, user.pk)
    ticket = tickets.make(credential)
    with losing_an_answer(settings.REDIS_URL) as (url, lost):
        with override_settings(REDIS_URL=url):
            assert redeem(ticket) == credential
        assert lost.is_set()
    assert redeem(ticket) is None


def test_a_ticket_made_under_another_secret_key_is_worth_nothing(user):
    with override_settings(SECRET_KEY="another" * 10, SECRET_KEY_FALLBACKS=[]):
        ticket = tickets.make(Credential("session", "s" * 32, user.pk))
    assert redeem(ticket) is None


def test_a_signed_in_browser_gets_one_for_its_session(client, user):
    client.force_login(user)
    ticket = client.post(PATH).json()["ticket"]
    credential = redeem(ticket)
    assert credential == Credential("session", client.session.session_key, user.pk)
    assert client.session.session_key not in repr(credential)


def test_nobody_gets_none(client, api_key):
    assert client.post(PATH).status_code == 401
    ApiKey.objects.update(scopes=["ai"])
    assert post(client, api_key.secret).status_code == 403
    assert client.get(PATH, headers={"x-api-key": api_key.secret}).status_code in {403, 405}


def test_while_valkey_is_away_it_is_503_and_soon(client, api_key):
    tickets._client().close()
    tickets._client.cache_clear()
    try:
        with override_settings(REDIS_URL="redis://127.0.0.1:1/0"):
            answer = post(client, api_key.secret)
            assert answer.status_code == 503
            assert "retry-after" in answer
            with pytest.raises(Unavailable):
                redeem("A" * 43)
    finally:
        tickets._client.cache_clear()
