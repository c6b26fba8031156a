"""Each way of losing access is felt by the very next call: API, list of models, paid call alike.

What is asked is asked of the real server over its socket; what ends access is done by the addresses
and commands that people use. ``access_lost`` is what sockets listen to: it has to have been sent.
"""

# ruff: noqa: F811 -- fixtures are asked for by the names they are imported by

import re
from dataclasses import dataclass, field
from io import StringIO
from types import SimpleNamespace
from unittest.mock import patch

import httpx
import pytest
from allauth.idp.oidc.adapter import get_adapter
from allauth.idp.oidc.models import Token
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from accounts import access, extensions, verbs
from accounts.access import Credential, access_lost, still_valid
from accounts.keys import digest
from accounts.models import ApiKey, User
from accounts.verbs import issue_key
from tests.accounts.people import (
    EXTENSION,
    OTHER_PASSWORD,
    PASSWORD,
    app,
    ask_token,
    browser,
    code_sent,
    cookie_of,
    extension_tokens,
    renewal,
    revoke,
    session_token,
    visitor,
)
from tests.proxy.conftest import (  # noqa: F401
    clean_books,
    database_url,
    fake,
    fake_providers,
    farebox,
    price_list,
    server,
)
from tests.proxy.dialects import OPENAI
from tests.proxy.riders import make_rider

pytestmark = pytest.mark.xdist_group("losing-access")
EMAIL = "ada@example.com"


@dataclass
class Ada:
    """Somebody who is signed in everywhere at once, and has a key."""

    user: User
    key: str
    page: Client
    session: str
    tokens: dict
    lost: list[int] = field(default_factory=list)

    @property
    def headers(self):
        """What each of her credentials is sent as."""
        return {
            "key": {"x-api-key": self.key},
            "cookie": {"x-session-token": cookie_of(self.page)},
            "session": {"x-session-token": self.session},
            "token": {"authorization": f"Bearer {self.tokens['access_token']}"},
        }

    @property
    def credentials(self):
        token = self.tokens["access_token"]
        mine = self.user.pk
        return {
            "key": Credential("key", digest(self.key).hex(), mine),
            "cookie": Credential("session", cookie_of(self.page), mine),
            "session": Credential("session", self.session, mine),
            "token": Credential("token", oidc_hash(token), mine),
        }


def oidc_hash(token):
    return get_adapter().hash_token(token)


@pytest.fixture
def ada(farebox, fake, settings):
    settings.EXTENSION_IDS = [EXTENSION]
    extensions.sync()
    rider = make_rider(EMAIL)
    rider.user.set_password(PASSWORD)
    rider.user.save()
    page = browser(EMAIL)
    ada = Ada(rider.user, rider.secret, page, session_token(EMAIL), extension_tokens(page))

    def hear(user, **_):
        ada.lost.append(user)

    access_lost.connect(hear)
    yield ada
    access_lost.disconnect(hear)


@pytest.fixture
def doors(farebox, fake):
    """Asks everywhere; answers the statuses and, of refusals, the words."""

    def doors(headers):
        with httpx.Client(base_url=farebox.url, headers=headers, trust_env=False) as client:
            answers = [
                client.get("/api/usage"),
                client.get("/v1/models"),
                client.post("/v1/chat/completions", json=OPENAI.body()),
            ]
        statuses = {answer.status_code for answer in answers}
        words = {a.json()["error"]["message"] for a in answers} if statuses == {401} else set()
        challenged = all("www-authenticate" in answer.headers for answer in answers)
        assert challenged == (statuses == {401})
        return SimpleNamespace(statuses=statuses, words=words)

    return doors


def open_to(doors, ada):
    """Which of her credentials still open every door; each opens all or none."""
    found = set()
    for name, headers in ada.headers.items():
        seen = doors(headers)
        assert seen.statuses in ({200}, {401}), (name, seen)
        if seen.statuses == {200}:
            found.add(name)
            assert still_valid(ada.credentials[name])
        else:
            assert not still_valid(ada.credentials[name])
            assert ("API key" if name == "key" else "sign in again") in str(seen.words)
    return found


ALL = {"key", "cookie", "session", "token"}


# --- One sign-in ends -------------------------------------------------------------------------


def log_out_by_page(ada):
    assert ada.page.post("/accounts/logout/").status_code == 302


def log_out_headless(ada):
    assert app(visitor(), "DELETE", "auth/session", token=ada.session).status_code == 401


def end_in_the_list_headless(ada):
    mine = cookie_of(ada.page)
    listed = app(visitor(), "GET", "auth/sessions", token=mine).json()["data"]
    (other,) = [one["id"] for one in listed if not one["is_current"]]
    done = app(visitor(), "DELETE", "auth/sessions", {"sessions": [other]}, token=mine)
    assert done.status_code == 200


def end_in_the_list_of_the_page(ada):
    assert ada.page.post("/accounts/sessions/").status_code == 302


def expire_the_session(ada):
    Session.objects.filter(session_key=ada.session).update(expire_date=timezone.now())


def sign_the_extension_out_by_access_token(ada):
    assert revoke(ada.tokens["access_token"]).status_code == 200


def sign_the_extension_out_by_refresh_token(ada):
    assert revoke(ada.tokens["refresh_token"]).status_code == 200


def use_a_refresh_token_twice(ada):
    assert ask_token(renewal(ada.tokens["refresh_token"])).status_code == 200
    assert ask_token(renewal(ada.tokens["refresh_token"])).status_code == 400


def expire_the_tokens(ada):
    Token.objects.update(expires_at=timezone.now())


def take_the_extension_out_of_the_setting(ada):
    with patch("accounts.extensions.settings.EXTENSION_IDS", []):
        extensions.sync()


def revoke_the_key(ada):
    assert verbs.revoke_key(key=ApiKey.objects.get())


def expire_the_key(ada):
    ApiKey.objects.update(expires_at=timezone.now())


SILENT = {expire_the_session, expire_the_tokens, expire_the_key}


@pytest.mark.parametrize(
    ("lose", "lost"),
    [
        (log_out_by_page, "cookie"),
        (log_out_headless, "session"),
        (end_in_the_list_headless, "session"),
        (end_in_the_list_of_the_page, "session"),
        (expire_the_session, "session"),
        (sign_the_extension_out_by_access_token, "token"),
        (sign_the_extension_out_by_refresh_token, "token"),
        (use_a_refresh_token_twice, "token"),
        (expire_the_tokens, "token"),
        (take_the_extension_out_of_the_setting, "token"),
        (revoke_the_key, "key"),
        (expire_the_key, "key"),
    ],
)
def test_one_way_in_is_lost_and_the_others_stay(ada, doors, lose, lost):
    assert open_to(doors, ada) == ALL
    ada.lost.clear()

    lose(ada)

    assert open_to(doors, ada) == ALL - {lost}
    assert lose in SILENT or ada.user.pk in ada.lost
    assert set(UserSession.objects.values_list("session_key", flat=True)) >= (
        {cookie_of(ada.page), ada.session} - {ada.headers[lost].get("x-session-token")}
    )


# --- Everything ends --------------------------------------------------------------------------


@pytest.fixture
def root(ada):
    client = visitor()
    client.force_login(User.objects.create_superuser("root@example.com"))
    return client


def test_a_disabled_user_is_out_everywhere_keys_too(ada, doors, root):
    path = f"/admin/accounts/user/{ada.user.pk}/change/"
    lists = re.findall(r'name="([\w-]+)-TOTAL_FORMS"', root.get(path).content.decode())
    sent = {f"{name}-{part}_FORMS": "0" for name in lists for part in ("TOTAL", "INITIAL")}
    sent["email"] = EMAIL
    ada.lost.clear()
    assert root.post(path, sent).status_code == 302
    assert not User.objects.get(email=EMAIL).is_active

    assert open_to(doors, ada) == set()
    assert ada.user.pk in ada.lost

    assert root.post(path, sent | {"is_active": "on"}).status_code == 302
    assert open_to(doors, ada) == {"key"}  # a key is no sign-in, and was not revoked


def test_a_user_disabled_in_bulk_or_by_hand_is_out_as_well(ada, doors):
    User.objects.filter(pk=ada.user.pk).update(is_active=False)

    assert open_to(doors, ada) == set()


def test_the_verb_that_ends_all_sign_ins(ada, doors):
    ada.lost.clear()
    access.end_sign_ins(ada.user.pk)

    assert open_to(doors, ada) == {"key"}
    assert ada.lost == [ada.user.pk]
    assert not UserSession.objects.exists()


# --- A changed password: all sign-ins but the one that changed it -----------------------------


def change_by_page(ada):
    sent = {"oldpassword": PASSWORD, "password1": OTHER_PASSWORD, "password2": OTHER_PASSWORD}
    answer = ada.page.post("/accounts/password/change/", sent)
    assert answer.status_code == 302, answer.content
    return "cookie"


def change_headless(ada):
    sent = {"current_password": PASSWORD, "new_password": OTHER_PASSWORD}
    answer = app(visitor(), "POST", "account/password/change", sent, ada.session)
    assert answer.status_code == 200, answer.content
    given = answer.json()["meta"]["session_token"]
    assert given != ada.session
    ada.session = given
    return "session"


def reset_headless(ada):
    client = visitor()
    asked = app(client, "POST", "auth/password/request", {"email": EMAIL})
    assert asked.status_code == 401, asked.content
    token = asked.json()["meta"]["session_token"]
    sent = {"key": code_sent(token), "password": OTHER_PASSWORD}
    done = app(client, "POST", "auth/password/reset", sent, token)
    assert done.status_code == 200, done.content
    return None


def set_in_the_admin(ada):
    root = visitor()
    root.force_login(User.objects.create_superuser("root@example.com"))
    sent = {
        "password1": OTHER_PASSWORD, "password2": OTHER_PASSWORD, "usable_password": "true",
    }  # fmt: skip
    answer = root.post(f"/admin/accounts/user/{ada.user.pk}/password/", sent)
    assert answer.status_code == 302, answer.content
    return None


def set_by_command(ada):
    with patch("getpass.getpass", return_value=OTHER_PASSWORD):
        call_command("changepassword", EMAIL, verbosity=0, stdout=StringIO())
    return None


@pytest.mark.parametrize(
    "change", [change_by_page, change_headless, reset_headless, set_in_the_admin, set_by_command]
)
def test_a_changed_password_ends_all_sign_ins_but_the_one_that_changed_it(ada, doors, change):
    ada.lost.clear()

    kept = change(ada)

    assert open_to(doors, ada) == {"key"} | ({kept} if kept else set())
    assert ada.user.pk in ada.lost
    assert ask_token(renewal(ada.tokens["refresh_token"])).status_code == 400
    assert doors({"x-session-token": session_token(EMAIL, OTHER_PASSWORD)}).statuses == {200}
    if kept == "cookie":
        assert ada.page.get("/api/me").json()["email"] == EMAIL


def test_staff_who_change_their_own_password_in_the_admin_stay_signed_in(ada, doors):
    User.objects.filter(pk=ada.user.pk).update(is_staff=True, is_superuser=True)
    ada.user.refresh_from_db()
    old = cookie_of(ada.page)
    sent = {"password1": OTHER_PASSWORD, "password2": OTHER_PASSWORD, "usable_password": "true"}
    path = f"/admin/accounts/user/{ada.user.pk}/password/"
    answer = ada.page.post(path, sent)
    assert answer.status_code == 302, answer.content

    assert cookie_of(ada.page) != old
    assert open_to(doors, ada) == {"key", "cookie"}


def test_a_key_made_before_is_still_listed_and_used_after_a_changed_password(ada, doors):
    second = issue_key(user=ada.user, name="second").secret
    change_by_page(ada)

    assert doors({"authorization": f"Bearer {second}"}).statuses == {200}
