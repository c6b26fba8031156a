"""Whoever loses access loses their sockets, within a second, and nobody else does."""

from datetime import timedelta

import pytest
import redis
from allauth.idp.oidc.models import Token
from django.conf import settings as conf
from django.utils import timezone

from accounts import extensions, verbs
from accounts.models import ApiKey
from tests.accounts.people import (
    EXTENSION,
    OTHER_PASSWORD,
    PASSWORD,
    app,
    ask_token,
    browser,
    cookie_of,
    extension_tokens,
    renewal,
    revoke,
    session_token,
    visitor,
)
from tests.accounts.sockets.client import key_headers, open_told
from tests.billing.conftest import admin, staff  # noqa: F401

EMAIL = "ada@example.com"
ENDED = (4401, "signed out")


def forget_counts():
    """What the server counted of sign-ins from this address; its cache's keys have no prefix. All
    else in Valkey is other processes' tests', too."""
    with redis.Redis.from_url(conf.REDIS_URL) as valkey:
        for key in valkey.scan_iter(":1:*"):
            valkey.delete(key)


@pytest.fixture
def ada(farebox, settings):
    settings.EXTENSION_IDS = [EXTENSION]
    # They sign in at this process: no server has to know the hash.
    quick = "django.contrib.auth.hashers.MD5PasswordHasher"
    settings.PASSWORD_HASHERS = [quick, *settings.PASSWORD_HASHERS]
    extensions.sync()
    forget_counts()
    return verbs.create_user(email=EMAIL, password=PASSWORD)


@pytest.fixture
def bystanders(farebox, ada):
    """Sockets that must stay: somebody else's, and one of the same user's API key."""
    other = verbs.create_user(email="other@example.com")
    keys = [verbs.issue_key(user=user, name="test").secret for user in (other, ada)]
    sockets = [open_told(farebox, key_headers(key)) for key in keys]
    yield sockets
    for socket in sockets:
        assert socket.is_quiet(0.1)
        socket.connection.close()


def by_session(token):
    return {"x-session-token": token}


def by_cookie(client):
    return {
        "cookie": f"sessionid={cookie_of(client)}; csrftoken={'t' * 32}",
        "x-csrftoken": "t" * 32,
    }


def test_log_out_of_the_headless_api(farebox, ada, bystanders):
    token = session_token(EMAIL)
    with open_told(farebox, by_session(token)) as socket:
        assert app(visitor(), "DELETE", "auth/session", token=token).status_code == 401
        assert socket.closed(1) == ENDED


def test_log_out_of_a_browser(farebox, ada, bystanders):
    page = browser(EMAIL)
    with open_told(farebox, by_cookie(page)) as socket:
        page.post("/accounts/logout/")
        assert socket.closed(1) == ENDED


def test_a_session_ended_in_the_list_of_another(farebox, ada, bystanders):
    token, mine = session_token(EMAIL), session_token(EMAIL)
    with (
        open_told(farebox, by_session(token)) as lost,
        open_told(farebox, by_session(mine)) as kept,
    ):
        listed = app(visitor(), "GET", "auth/sessions", token=mine).json()["data"]
        others = [session["id"] for session in listed if not session["is_current"]]
        answer = app(visitor(), "DELETE", "auth/sessions", {"sessions": others}, mine)
        assert answer.status_code == 200, answer.content
        assert lost.closed(1) == ENDED
        assert kept.is_quiet(0.1)


def test_a_revoked_key(farebox, ada, bystanders):
    issued = verbs.issue_key(user=ada, name="leaked")
    with open_told(farebox, key_headers(issued.secret)) as socket:
        verbs.revoke_key(key=issued.key)
        assert socket.closed(1) == ENDED


def test_an_extension_that_signs_out(farebox, ada, bystanders):
    tokens = extension_tokens(browser(EMAIL))
    with open_told(farebox, key_headers(tokens["access_token"])) as socket:
        assert revoke(tokens["refresh_token"]).status_code == 200
        assert socket.closed(1) == ENDED


def test_a_socket_outlives_its_access_token_as_long_as_the_sign_in_does(farebox, ada, bystanders):
    tokens = extension_tokens(browser(EMAIL))
    with open_told(farebox, key_headers(tokens["access_token"])) as socket:
        renewed = ask_token(renewal(tokens["refresh_token"])).json()
        Token.objects.lookup(Token.Type.ACCESS_TOKEN, tokens["access_token"]).delete()
        assert socket.is_quiet(0.5)
        assert revoke(renewed["refresh_token"]).status_code == 200
        assert socket.closed(1) == ENDED


def test_a_refresh_token_used_twice(farebox, ada, bystanders):
    tokens = extension_tokens(browser(EMAIL))
    with open_told(farebox, key_headers(tokens["access_token"])) as socket:
        assert ask_token(renewal(tokens["refresh_token"])).status_code == 200
        assert ask_token(renewal(tokens["refresh_token"])).status_code == 400
        assert socket.closed(1) == ENDED


def test_a_changed_password(farebox, ada, bystanders):
    """The sign-in that changed it stays, under a new token, and with that it opens another."""
    token, mine = session_token(EMAIL), session_token(EMAIL)
    tokens = extension_tokens(browser(EMAIL))
    with (
        open_told(farebox, by_session(token)) as lost,
        open_told(farebox, key_headers(tokens["access_token"])) as extension,
        open_told(farebox, by_session(mine)) as own,
    ):
        body = {"current_password": PASSWORD, "new_password": OTHER_PASSWORD}
        answer = app(visitor(), "POST", "account/password/change", body, mine)
        assert answer.status_code == 200, answer.content
        for socket in (lost, extension, own):
            assert socket.closed(1) == ENDED
    with open_told(farebox, by_session(answer.json()["meta"]["session_token"])) as again:
        assert again.is_quiet(0.1)


def test_a_disabled_account_loses_all(farebox, ada):
    issued = verbs.issue_key(user=ada, name="test")
    headers = [
        key_headers(issued.secret),
        by_session(session_token(EMAIL)),
        by_cookie(browser(EMAIL)),
        key_headers(extension_tokens(browser(EMAIL))["access_token"]),
    ]
    sockets = [open_told(farebox, each) for each in headers]
    ada.is_active = False
    ada.save()
    for socket in sockets:
        assert socket.closed(1) == ENDED
        socket.connection.close()


def test_what_nobody_announced_is_found_at_the_next_look(own_farebox, rider):
    """An expiry; an UPDATE by hand; a user deleted by hand."""
    farebox = own_farebox(SOCKET_REFRESH_SECONDS="1")
    ends = timezone.now() + timedelta(seconds=3)
    expiring = verbs.issue_key(user=rider.user, name="expiring", expires_at=ends)
    by_hand = verbs.issue_key(user=rider.user, name="by hand")
    with (
        open_told(farebox, key_headers(rider.secret)) as kept,
        open_told(farebox, key_headers(expiring.secret)) as first,
        open_told(farebox, key_headers(by_hand.secret)) as second,
    ):
        ApiKey.objects.filter(pk=by_hand.key.pk).update(revoked_at=timezone.now())
        assert second.closed(4) == ENDED
        assert first.closed(6) == ENDED
        assert timezone.now() >= ends
        assert kept.is_quiet(0.1)
