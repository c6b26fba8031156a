"""From when on somebody is signed in: never halfway, and by every way there is.

A session that still wants a code, a second factor or a verified address opens nothing; one that is
whole is in the list of sessions, and its token is good for the API.
"""

import pytest
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    hotp_value,
    yield_hotp_counters_from_time,
)
from allauth.usersessions.models import UserSession
from django.contrib.auth import signals
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import connection
from django.db.models.signals import pre_save

from accounts import access, extensions, verbs
from accounts.models import User
from tests import hashes
from tests.accounts.people import (
    EXTENSION,
    OTHER_PASSWORD,
    PASSWORD,
    app,
    authorization,
    browser,
    code_sent,
    cookie_of,
    session_token,
    visitor,
)

EMAIL = "ada@example.com"
SECRET = "JBSWY3DPEHPK3PXP"

pytestmark = pytest.mark.usefixtures("clean_books")


@pytest.fixture(autouse=True)
def _quick_hashes(settings):
    """Of the usual form, since it is about hashes that grow old."""
    settings.PASSWORD_HASHERS = hashes.QUICK


@pytest.fixture
def ada(clean_books):
    return verbs.create_user(email=EMAIL, password=PASSWORD)


def me(token):
    answer = visitor().get("/api/me", headers={"x-session-token": token})
    if answer.status_code == 401:
        assert "sign in again" in answer.json()["error"]["message"]
        return None
    return answer.json()["email"]


def pending(answer):
    """The token of a sign-in that is not over yet."""
    assert answer.status_code == 401, answer.content
    return answer.json()["meta"]["session_token"]


def done(answer):
    assert answer.status_code == 200, answer.content
    token = answer.json()["meta"]["session_token"]
    assert UserSession.objects.filter(session_key=token).count() == 1
    return token


def totp():
    counter = next(iter(yield_hotp_counters_from_time()))
    return format_hotp_value(hotp_value(SECRET, counter))


def test_a_new_account_is_nobody_until_its_address_is_verified():
    client = visitor()
    token = pending(
        app(client, "POST", "auth/signup", {"email": "new@example.com", "password": PASSWORD})
    )
    assert me(token) is None
    assert not UserSession.objects.exists()

    code = code_sent(token)
    whole = done(app(client, "POST", "auth/email/verify", {"key": code}, token))

    assert whole != token
    assert me(whole) == "new@example.com"
    assert me(token) is None


def test_a_code_by_mail(ada):
    client = visitor()
    token = pending(app(client, "POST", "auth/code/request", {"email": EMAIL}))
    assert me(token) is None

    code = code_sent(token)
    assert me(done(app(client, "POST", "auth/code/confirm", {"code": code}, token))) == EMAIL


def test_a_second_factor(ada):
    TOTP.activate(ada, SECRET)
    client = visitor()
    token = pending(app(client, "POST", "auth/login", {"email": EMAIL, "password": PASSWORD}))
    assert me(token) is None
    assert not UserSession.objects.exists()

    assert me(done(app(client, "POST", "auth/2fa/authenticate", {"code": totp()}, token))) == EMAIL


def test_a_second_factor_on_the_pages(ada, settings):
    settings.EXTENSION_IDS = [EXTENSION]
    extensions.sync()
    TOTP.activate(ada, SECRET)
    client = visitor()
    client.post("/accounts/login/", {"login": EMAIL, "password": PASSWORD})
    assert client.get("/api/me").status_code == 401
    assert me(cookie_of(client)) is None
    assert "login" in client.get("/identity/o/authorize", authorization())["location"]

    client.post("/accounts/2fa/authenticate/", {"code": totp()})

    assert client.get("/api/me").json()["email"] == EMAIL
    assert me(cookie_of(client)) == EMAIL


def test_the_password_on_the_page(ada):
    assert me(cookie_of(browser(EMAIL))) == EMAIL


def test_a_session_that_django_alone_made_is_listed_at_its_first_request(ada):
    client = visitor()
    client.force_login(ada)
    assert me(cookie_of(client)) is None

    client.get("/api/me")

    assert me(cookie_of(client)) == EMAIL


def test_a_user_the_operator_made_by_the_admin_verifies_first(clean_books):
    User.objects.create_user(EMAIL, PASSWORD)
    pending(app(visitor(), "POST", "auth/login", {"email": EMAIL, "password": PASSWORD}))


@pytest.mark.parametrize(
    "token", ["", "a" * 31, "a" * 33, "A" * 32, "a" * 16 + "é" + "a" * 15, "a" * 5000, "' or 1=1--"]
)
def test_a_malformed_session_costs_no_query(token, client, django_assert_num_queries):
    with django_assert_num_queries(0):
        answer = client.get("/api/usage", headers={"x-session-token": token})
    assert answer.status_code == 401
    assert answer["www-authenticate"].startswith("Bearer")


def test_a_sign_in_is_one_query(ada, django_assert_num_queries):
    token = session_token(EMAIL)
    client = visitor()
    client.get("/api/usage", headers={"x-session-token": token})
    with django_assert_num_queries(2):  # who it is, and the months
        client.get("/api/usage", headers={"x-session-token": token})


# --- A password that changes while somebody signs in ------------------------------------------


@pytest.fixture
def changed_midway(ada):
    """The password changes between its being checked and the end of the sign-in."""

    def change(user, **_):
        fresh = User.objects.get(pk=user.pk)
        fresh.set_password(OTHER_PASSWORD)
        fresh.save()

    signals.user_logged_in.connect(change)
    yield
    signals.user_logged_in.disconnect(change)


def sign_in_overtaken():
    """The keys of the sessions that came of it."""
    app(visitor(), "POST", "auth/login", {"email": EMAIL, "password": PASSWORD})
    return list(UserSession.objects.values_list("session_key", flat=True))


def test_a_sign_in_overtaken_by_a_changed_password_is_none(changed_midway):
    assert sign_in_overtaken() == []


def test_without_the_second_look_it_would_be_listed(changed_midway):
    """The control."""
    pre_save.disconnect(sender=UserSession, dispatch_uid="access:listed")
    try:
        assert len(sign_in_overtaken()) == 1
    finally:
        pre_save.connect(access._session_listed, sender=UserSession, dispatch_uid="access:listed")


# --- A stronger hash for the same password ----------------------------------------------------


@pytest.fixture
def weak(ada):
    """A password hashed as an older Django would have, and the sign-ins from then."""

    def weaken():
        _, rounds, salt, _ = User.objects.get(pk=ada.pk).password.split("$")
        with_less = PBKDF2PasswordHasher().encode(PASSWORD, salt, int(rounds) - 1)
        # Written where no trigger looks, as if it had always been so.
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE accounts_user DISABLE TRIGGER USER")
            User.objects.filter(pk=ada.pk).update(password=with_less)
            cursor.execute("ALTER TABLE accounts_user ENABLE TRIGGER USER")

    return weaken


def rounds_of(user):
    return User.objects.get(pk=user.pk).password.split("$")[1]


def test_signing_in_with_a_hash_that_is_renewed_on_the_way(ada, weak):
    usual = rounds_of(ada)
    weak()
    assert rounds_of(ada) != usual

    token = session_token(EMAIL)

    assert rounds_of(ada) == usual
    assert me(token) == EMAIL
    weak()
    assert me(cookie_of(browser(EMAIL))) == EMAIL


def test_confirming_a_password_whose_hash_is_renewed_keeps_the_sign_in(ada, weak):
    usual = rounds_of(ada)
    weak()
    client = visitor()
    client.force_login(User.objects.get(pk=ada.pk))
    client.get("/api/me")
    old = cookie_of(client)

    answer = client.post("/accounts/reauthenticate/", {"password": PASSWORD})

    assert answer.status_code == 302
    assert rounds_of(ada) == usual
    assert cookie_of(client) != old
    assert client.get("/api/me").json()["email"] == EMAIL
    assert me(cookie_of(client)) == EMAIL
