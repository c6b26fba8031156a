"""``/api/keys``: a user's own keys, made and revoked by a person who is signed in."""

import uuid
from datetime import timedelta

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from accounts import verbs
from accounts.models import ApiKey

pytestmark = pytest.mark.django_db

PATH = "/api/keys"


@pytest.fixture
def browser(client, user):
    client.force_login(user)
    return client


def make(browser, **body):
    return browser.post(PATH, body, content_type="application/json")


def test_a_new_key_is_told_once_and_works(browser, user):
    response = make(browser, name="laptop")
    assert response.status_code == 201
    body = response.json()
    assert body["name"] == "laptop"
    assert body["scopes"] == ["ai", "read"]
    assert (body["monthly_cap"], body["expires_at"], body["last_used_at"]) == (None, None, None)
    assert response["cache-control"] == "no-store"
    me = Client().get("/api/me", headers={"x-api-key": body["api_key"]})
    assert me.json()["email"] == user.email
    listed = browser.get(PATH)
    assert [row["id"] for row in listed.json()["results"]] == [body["id"]]
    assert "api_key" not in listed.json()["results"][0]
    assert body["api_key"] not in listed.content.decode()


def test_all_that_can_be_said_of_a_key(browser):
    until = (timezone.now() + timedelta(days=3)).replace(microsecond=0)
    response = make(
        browser, name=" ci ", scopes=["read"], monthly_cap="2.5", expires_at=until.isoformat()
    )
    assert response.status_code == 201
    body = response.json()
    assert (body["name"], body["scopes"], body["monthly_cap"]) == ("ci", ["read"], "2.500000")
    key = ApiKey.objects.get()
    assert (key.monthly_cap, key.expires_at) == (2_500_000, until)
    assert body["prefix"] == key.prefix == body["api_key"][:9]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": None}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"name": {"a": 1}}, "name"),
        ({"name": "k", "scopes": []}, "scopes"),
        ({"name": "k", "scopes": ["all"]}, "scopes.0"),
        ({"name": "k", "scopes": "read"}, "scopes"),
        ({"name": "k", "scopes": ["read"] * 50}, "scopes"),
        ({"name": "k", "monthly_cap": 5}, "monthly_cap"),
        ({"name": "k", "monthly_cap": "-1"}, "monthly_cap"),
        ({"name": "k", "monthly_cap": "99999999999999"}, "monthly_cap"),
        ({"name": "k", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "k", "expires_at": "tomorrow"}, "expires_at"),
        ({"name": "k", "expires_at": "9999-12-31T23:59:59-23:59"}, "expires_at"),
        ({"name": "k", "expires_at": 5}, "expires_at"),
    ],
)
def test_what_can_not_be_is_refused_by_name(browser, body, param):
    response = make(browser, **body)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["param"].startswith(param.split(".")[0])
    assert not ApiKey.objects.exists()


def test_service_keys_are_for_staff(browser, user):
    response = make(browser, name="backend", scopes=["credits"])
    assert response.status_code == 403
    assert "only staff" in response.json()["error"]["message"]
    user.is_staff = True
    user.save()
    response = make(browser, name="backend", scopes=["credits"])
    assert response.status_code == 201
    assert response.json()["scopes"] == ["credits"]


def test_a_key_can_neither_make_nor_end_keys(client, api_key):
    headers = {"x-api-key": api_key.secret}
    response = client.post(PATH, {"name": "x"}, content_type="application/json", headers=headers)
    assert response.status_code == 403
    assert "Sign in" in response.json()["error"]["message"]
    assert client.delete(f"{PATH}/{api_key.key.pk}", headers=headers).status_code == 403
    assert ApiKey.objects.get().is_active


def test_a_key_may_list_with_the_scope_read(client, api_key):
    headers = {"x-api-key": api_key.secret}
    assert len(client.get(PATH, headers=headers).json()["results"]) == 1
    ApiKey.objects.update(scopes=["ai"])
    assert client.get(PATH, headers=headers).status_code == 403


def test_nobody_without_a_sign_in(client):
    assert client.get(PATH).status_code == 401
    assert client.post(PATH, {"name": "x"}, content_type="application/json").status_code == 401


def test_a_browser_needs_its_csrf_token(user):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(user)
    assert make(browser, name="x").status_code == 403
    assert not ApiKey.objects.exists()


def test_revoking_ends_it_at_once(browser, api_key):
    response = browser.delete(f"{PATH}/{api_key.key.pk}")
    assert (response.status_code, response.content) == (204, b"")
    headers = {"x-api-key": api_key.secret}
    assert Client().get("/api/me", headers=headers).status_code == 401
    assert browser.get(PATH).json()["results"] == []
    assert browser.delete(f"{PATH}/{api_key.key.pk}").status_code == 404


def test_somebody_elses_key_is_as_good_as_none(browser):
    other = verbs.issue_key(user=verbs.create_user(email="other@example.com"), name="theirs").key
    assert browser.delete(f"{PATH}/{other.pk}").status_code == 404
    assert browser.delete(f"{PATH}/{uuid.uuid4()}").status_code == 404
    assert browser.get(PATH).json()["results"] == []
    other.refresh_from_db()
    assert other.is_active


def test_the_newest_comes_first_and_an_expired_one_stays_listed(browser, user):
    for name in ("first", "second"):
        verbs.issue_key(user=user, name=name)
    ApiKey.objects.filter(name="first").update(expires_at=timezone.now())
    assert [row["name"] for row in browser.get(PATH).json()["results"]] == ["second", "first"]


def test_the_owner_is_told_by_mail(browser, user):
    body = make(browser, name="l'été <b>").json()
    (sent,) = mail.outbox
    assert sent.to == [user.email]
    assert "l'été <b>" in sent.subject
    assert "l'été <b>" in sent.body
    assert "/dashboard/keys/" in sent.body
    assert body["api_key"] not in sent.body + "".join(
        str(content) for content, _ in sent.alternatives
    )


def test_there_is_a_most(browser, user):
    for n in range(verbs.KEYS_A_USER):
        verbs.issue_key(user=user, name=str(n))
    response = make(browser, name="one more")
    assert response.status_code == 400
    assert "revoke one" in response.json()["error"]["message"]
    verbs.revoke_key(key=ApiKey.objects.first())
    assert make(browser, name="one more").status_code == 201
