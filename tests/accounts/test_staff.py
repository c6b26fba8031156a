"""Who is let into the admin."""

import time

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.core.management import call_command
from django.db import transaction
from django.urls import get_resolver

from accounts import verbs
from accounts.models import User
from tests.accounts import people

PASSWORD = people.PASSWORD
FACTORS = "/accounts/2fa/"
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _as_in_production(settings):
    settings.STAFF_MFA_REQUIRED = True
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def boss():
    return User.objects.create_superuser("boss@example.com", PASSWORD)


def totp_for(user):
    """Sets an authenticator app up; answers what it shows now."""
    secret = generate_totp_secret()
    TOTP.activate(user, secret)
    return lambda step=0: format_hotp_value(hotp_value(secret, int(time.time()) // 30 + step))


def pages_of_the_admin():
    """Each page that takes no further argument."""
    found = []
    for pattern in admin.site.urls[0]:
        inner = getattr(pattern, "url_patterns", [pattern])
        outer = str(pattern.pattern) if hasattr(pattern, "url_patterns") else ""
        found += [f"/admin/{outer}{one.pattern}" for one in inner]
    return [path for path in found if "<" not in path and "(" not in path]


def open_pages(client):
    shut = [
        path for path in pages_of_the_admin() if path not in {"/admin/logout/", "/admin/jsi18n/"}
    ]
    assert len(shut) > 20
    return [path for path in shut if client.get(path).status_code == 200]


def test_a_stranger_is_sent_to_the_sign_in_page_of_everybody(client):
    answer = client.get("/admin/", follow=True)
    assert answer.redirect_chain[-1][0].startswith("/accounts/login/?next=")
    assert open_pages(client) == []


def test_the_admins_own_form_signs_nobody_in(client, boss):
    sent = {"username": boss.email, "password": PASSWORD}
    assert client.post("/admin/login/", sent)["location"].startswith("/accounts/login/")
    assert "_auth_user_id" not in client.session


def test_somebody_else_is_refused(user):
    user.set_password(PASSWORD)
    user.save()
    browser = people.browser(user.email)
    assert browser.get("/admin/", follow=True).status_code == 403


def test_a_password_alone_leads_to_the_second_factor_from_every_page(boss):
    browser = people.browser(boss.email)
    assert open_pages(browser) == []
    answer = browser.get("/admin/accounts/user/")
    assert (answer.status_code, answer["location"]) == (302, FACTORS)
    assert browser.post("/admin/accounts/user/add/", {"email": "x@example.com"}).status_code == 302
    assert not User.objects.filter(email="x@example.com").exists()
    assert browser.post("/admin/logout/").status_code == 200


def test_recovery_codes_alone_are_no_second_factor(boss):
    browser = people.browser(boss.email)
    Authenticator.objects.create(
        user=boss, type=Authenticator.Type.RECOVERY_CODES, data={"seed": "x", "used_mask": 0}
    )
    assert browser.get("/admin/")["location"] == FACTORS


def test_a_sign_in_with_it_opens_the_admin(boss):
    code = totp_for(boss)
    client = people.visitor()
    begun = client.post("/accounts/login/", {"login": boss.email, "password": PASSWORD})
    assert begun["location"].startswith("/accounts/2fa/authenticate/")
    assert open_pages(client) == []
    assert client.post(begun["location"], {"code": code()}).status_code == 302
    assert client.get("/admin/").status_code == 200


def test_a_session_from_before_must_show_it_first(boss):
    browser = people.browser(boss.email)
    code = totp_for(boss)
    answer = browser.get("/admin/accounts/user/?q=x")
    assert answer["location"] == (
        "/accounts/2fa/reauthenticate/?next=%2Fadmin%2Faccounts%2Fuser%2F%3Fq%3Dx"
    )
    shown = browser.post(answer["location"], {"code": code()})
    assert (shown.status_code, shown["location"]) == (302, "/admin/accounts/user/?q=x")
    assert browser.get("/admin/").status_code == 200


def test_after_some_hours_it_is_asked_for_again(boss, settings):
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = 1
    browser = people.browser(boss.email)
    code = totp_for(boss)
    browser.post("/accounts/2fa/reauthenticate/", {"code": code()})
    assert browser.get("/admin/").status_code == 200
    session = browser.session
    for record in session["account_authentication_methods"]:
        record["at"] -= settings.STAFF_SESSION_SECONDS + 1
    session.save()
    assert open_pages(browser) == []
    assert "/2fa/reauthenticate/" in browser.get("/admin/")["location"]


def test_with_debug_a_password_will_do(boss, settings):
    settings.STAFF_MFA_REQUIRED = False
    assert people.browser(boss.email).get("/admin/").status_code == 200


# --- The last factor stays --------------------------------------------------------------------


def test_staff_can_not_take_the_last_factor_off(boss):
    code = totp_for(boss)
    client = people.visitor()
    begun = client.post("/accounts/login/", {"login": boss.email, "password": PASSWORD})
    client.post(begun["location"], {"code": code()})
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    page = client.post("/accounts/2fa/totp/deactivate/")
    assert page.status_code == 200
    assert "cannot deactivate" in page.content.decode()
    assert Authenticator.objects.filter(user=boss, type="totp").exists()


def test_nor_the_last_passkey(boss):
    first, second = (
        Authenticator.objects.create(user=boss, type="webauthn", data={"name": name})
        for name in "ab"
    )
    first.delete()
    with pytest.raises(PermissionDenied), transaction.atomic():
        second.delete()
    boss.is_staff = False
    boss.save()
    second.user.refresh_from_db()
    second.delete()
    assert not Authenticator.objects.exists()


def test_whoever_is_deleted_takes_theirs_along(boss):
    totp_for(boss)
    boss.delete()
    assert not Authenticator.objects.exists()


def test_others_may(user):
    totp_for(user)
    Authenticator.objects.get(type="totp").delete()


# --- Superusers -------------------------------------------------------------------------------


def test_a_superuser_made_at_the_terminal_can_sign_in(monkeypatch):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    call_command("createsuperuser", email="root@example.com", interactive=False, verbosity=0)
    address = EmailAddress.objects.get(email="root@example.com")
    assert (address.verified, address.primary) == (True, True)
    assert people.session_token("root@example.com")


def test_an_old_user_is_vouched_for_once(user):
    EmailAddress.objects.all().delete()
    verbs.vouch_for(user=user)
    verbs.vouch_for(user=user)
    assert EmailAddress.objects.get().verified


def test_there_is_no_other_door():
    """The site's every address lies behind the one that is guarded."""
    roots = [str(one.pattern) for one in get_resolver().url_patterns if "admin" in str(one.pattern)]
    assert roots == ["admin/"]


# --- Service keys -------------------------------------------------------------------------------


def ask_for_service_key(email):
    return people.visitor().post(
        "/api/keys",
        {"name": "till", "scopes": ["credits"]},
        content_type="application/json",
        headers={"x-session-token": people.session_token(email)},
    )


def test_a_service_key_wants_the_second_factor_that_the_admin_wants(boss):
    """It moves other people's credits: a staff password alone must not be worth one."""
    answer = ask_for_service_key(boss.email)
    assert answer.status_code == 403
    assert "second factor" in answer.json()["error"]["message"]
    page = people.browser(boss.email)
    page.post("/accounts/reauthenticate/", {"password": PASSWORD})
    form = {"name": "till", "scopes": "credits", "expiry": ""}
    assert "second factor" in page.post("/dashboard/keys/new/", form).content.decode()
    assert not boss.api_keys.exists()

    token = people.session_token(boss.email)
    totp_for(boss)
    made = people.visitor().post(
        "/api/keys",
        {"name": "till", "scopes": ["credits"]},
        content_type="application/json",
        headers={"x-session-token": token},
    )
    assert made.status_code == 201


def test_an_ordinary_key_of_staff_wants_none(boss):
    made = people.visitor().post(
        "/api/keys",
        {"name": "laptop"},
        content_type="application/json",
        headers={"x-session-token": people.session_token(boss.email)},
    )
    assert made.status_code == 201
