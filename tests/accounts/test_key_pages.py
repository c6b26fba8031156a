"""/dashboard/keys/: making, seeing once, and revoking a key in the browser."""

import re
import time
from datetime import timedelta

import pytest
from allauth.account.authentication import AUTHENTICATION_METHODS_SESSION_KEY
from django.contrib.sessions.models import Session
from django.core import mail
from django.test import Client
from django.utils import timezone

from accounts import verbs
from accounts.models import ApiKey
from tests.accounts import people

pytestmark = pytest.mark.django_db

KEYS = "/dashboard/keys/"
NEW = "/dashboard/keys/new/"


def confirm(browser, ago=0.0):
    """Whoever this is has just re-authenticated, or some seconds ago."""
    session = browser.session
    session["account_authentication_methods_user"] = session["_auth_user_id"]
    session[AUTHENTICATION_METHODS_SESSION_KEY] = [
        {"method": "password", "at": time.time() - ago, "reauthenticated": True}
    ]
    session.save()
    return browser


@pytest.fixture
def browser(user):
    user.set_password(people.PASSWORD)
    user.save()
    browser = Client()
    browser.force_login(user)
    return confirm(browser)


def make(browser, **sent):
    return browser.post(NEW, {"name": "laptop", "scopes": ["ai", "read"], "expiry": ""} | sent)


def shown(response):
    return re.findall(r"fb_[0-9A-Za-z]{46}", response.content.decode())


def test_the_secret_is_shown_once_and_never_again(browser, user):
    made = make(browser)
    assert (made.status_code, made["location"]) == (302, KEYS)
    for session in Session.objects.all():  # on its way it lies there encrypted
        assert "fb_" not in str(session.get_decoded())
    first = browser.get(KEYS)
    assert "no-store" in first["cache-control"]
    (secret,) = shown(first)
    assert Client().get("/api/me", headers={"x-api-key": secret}).json()["email"] == user.email
    again = browser.get(KEYS)
    assert shown(again) == []
    assert "laptop" in again.content.decode()


def test_no_script_stands_in_the_page(browser):
    make(browser)
    html = browser.get(KEYS).content.decode()
    assert set(re.findall(r"<script[^>]*>(.*?)</script>", html, re.DOTALL)) <= {""}
    assert not re.search(r"\son\w+=|\sstyle=", html)
    assert "copy" in html


def test_all_that_can_be_chosen(browser):
    day = timezone.now().date() + timedelta(days=3)
    make(browser, scopes=["read"], monthly_cap="2.5", expiry="date", expires_on=day.isoformat())
    key = ApiKey.objects.get()
    assert (key.scopes, key.monthly_cap) == (["read"], 2_500_000)
    assert key.expires_at.isoformat() == f"{day.isoformat()}T00:00:00+00:00"
    html = browser.get(KEYS).content.decode()
    assert "2.5" in html
    assert day.isoformat() in html


def test_a_choice_of_days(browser):
    make(browser, expiry="30")
    left = ApiKey.objects.get().expires_at - timezone.now()
    assert timedelta(days=29, hours=23) < left <= timedelta(days=30)


@pytest.mark.parametrize(
    "sent",
    [
        {"name": ""},
        {"name": "a\nb"},
        {"name": "x" * 101},
        {"scopes": []},
        {"scopes": ["all"]},
        {"scopes": ["credits"]},
        {"monthly_cap": "five"},
        {"monthly_cap": "-1"},
        {"expiry": "3"},
        {"expiry": "date"},
        {"expiry": "date", "expires_on": "2020-01-01"},
        {"expiry": "date", "expires_on": "soon"},
    ],
)
def test_what_can_not_be_is_said_in_the_form(browser, sent):
    response = make(browser, **sent)
    assert response.status_code == 200
    assert "errorlist" in response.content.decode() or "error" in response.content.decode()
    assert not ApiKey.objects.exists()


def test_service_keys_are_offered_to_staff(browser, user):
    assert "credits" not in re.findall(r'value="(\w+)"', browser.get(NEW).content.decode())
    user.is_staff = True
    user.save()
    assert make(browser, scopes=["credits"]).status_code == 302
    assert ApiKey.objects.get().scopes == ["credits"]


def test_the_bound_is_said(browser, user):
    for n in range(verbs.KEYS_A_USER):
        verbs.issue_key(user=user, name=str(n))
    response = make(browser)
    assert response.status_code == 200
    assert "the most there can be" in response.content.decode()


def test_revoking_asks_first(browser, api_key):
    path = f"{KEYS}{api_key.key.pk}/revoke/"
    asked = browser.get(path)
    assert "can't be undone" in asked.content.decode().replace("&#x27;", "'")
    assert ApiKey.objects.get().is_active
    done = browser.post(path, follow=True)
    assert "is revoked" in done.content.decode()
    assert not ApiKey.objects.get().is_active
    assert browser.post(path).status_code == 404


def test_somebody_elses_key_is_not_there(browser):
    other = verbs.issue_key(user=verbs.create_user(email="other@example.com"), name="theirs").key
    assert browser.post(f"{KEYS}{other.pk}/revoke/").status_code == 404
    other.refresh_from_db()
    assert other.is_active


def test_names_are_escaped(browser):
    make(browser, name="<b>bold</b>")
    html = browser.get(KEYS).content.decode()
    assert "<b>bold" not in html
    assert "&lt;b&gt;bold" in html


def test_the_owner_is_told_by_mail(browser, user):
    mail.outbox.clear()
    make(browser)
    assert [sent.to for sent in mail.outbox] == [[user.email]]


@pytest.mark.parametrize("path", [NEW, f"{KEYS}019aa3d0-7f2e-7c11-9b1e-3f6d1c0a2b44/revoke/"])
def test_who_did_not_just_confirm_who_they_are_is_asked(browser, path):
    confirm(browser, ago=3600)
    for answer in (browser.get(path), browser.post(path, {"name": "x", "scopes": ["ai"]})):
        assert answer.status_code == 302
        assert answer["location"].startswith("/accounts/reauthenticate/")
    assert not ApiKey.objects.exists()


def test_who_has_no_password_signs_in_again(browser, user):
    """Where allauth has nothing to ask for, an old session is not enough either."""
    user.set_unusable_password()
    user.save()
    browser.force_login(user)
    confirm(browser, ago=3600)
    answer = browser.get(NEW)
    assert answer["location"].startswith("/accounts/login/?next=/dashboard/keys/new/")
    assert browser.get("/api/me").status_code == 401


def test_nobody_without_a_sign_in(client):
    for path in (KEYS, NEW):
        answer = client.get(path)
        assert answer["location"].startswith("/accounts/login/"), path


def test_a_post_needs_its_csrf_token(user):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(user)
    assert make(confirm(browser)).status_code == 403
