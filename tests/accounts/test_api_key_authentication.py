"""Who gets in with which key, how, and what it costs the database."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts import keys, verbs
from accounts.models import ApiKey

pytestmark = pytest.mark.django_db

PATH = "/api/usage"  # one that is quick to answer


def get(client, secret, **more):
    return client.get(PATH, headers={"authorization": f"Bearer {secret}"} | more)


def test_bearer_and_x_api_key_are_alike(client, api_key):
    assert get(client, api_key.secret).status_code == 200
    assert client.get(PATH, headers={"x-api-key": api_key.secret}).status_code == 200
    lower = {"authorization": f"bearer  {api_key.secret} "}
    assert client.get(PATH, headers=lower).status_code == 200


def test_of_two_the_well_formed_one_counts(client, api_key):
    both = {"authorization": "Bearer placeholder", "x-api-key": api_key.secret}
    assert client.get(PATH, headers=both).status_code == 200


@pytest.mark.parametrize(
    "secret",
    ["", "fb_", "nonsense", "sk-proj-123", "fb_" + "0" * 46, "fb_" + "é" * 46, "fb_" + "a" * 5000],
)
def test_a_malformed_key_is_refused_without_a_query(client, secret, django_assert_num_queries):
    with django_assert_num_queries(0):
        response = client.get(PATH, headers={"x-api-key": secret})
    assert response.status_code == 401
    assert response["www-authenticate"] == 'Bearer realm="Farebox"'
    assert response.json()["error"]["code"] == "invalid_api_key"


def test_no_key_at_all_is_401_and_says_how(client):
    response = client.get(PATH)
    assert response.status_code == 401
    assert "x-api-key" in response.json()["error"]["message"]


def test_unknown_revoked_expired_and_inactive_are_told_alike(client, user, api_key):
    answers = [get(client, keys.new_key())]
    ApiKey.objects.update(expires_at=timezone.now())
    answers.append(get(client, api_key.secret))
    ApiKey.objects.update(expires_at=None)
    user.is_active = False
    user.save()
    answers.append(get(client, api_key.secret))
    user.is_active = True
    user.save()
    assert get(client, api_key.secret).status_code == 200
    assert verbs.revoke_key(key=api_key.key)
    answers.append(get(client, api_key.secret))
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1


def test_a_key_without_the_scope_is_403(client, api_key):
    ApiKey.objects.update(scopes=["ai"])
    response = get(client, api_key.secret)
    assert response.status_code == 403
    assert response.json()["error"]["code"] == "permission_denied"
    assert "read" in response.json()["error"]["message"]


def test_last_use_is_kept_to_the_minute(client, api_key, django_assert_num_queries):
    get(client, api_key.secret)
    first = ApiKey.objects.get().last_used_at
    assert first is not None
    with django_assert_num_queries(2):  # the key with its user, and the months
        get(client, api_key.secret)
    assert ApiKey.objects.get().last_used_at == first
    ApiKey.objects.update(last_used_at=first - timedelta(seconds=61))
    get(client, api_key.secret)
    assert ApiKey.objects.filter(last_used_at__gt=first).exists()


def test_a_signed_in_browser_gets_in_too(client, user):
    client.force_login(user)
    assert client.get("/api/me").json()["email"] == user.email


def test_a_key_goes_before_the_session(client, user, api_key):
    other = verbs.create_user(email="other@example.com")
    client.force_login(other)
    answer = client.get("/api/me", headers={"x-api-key": api_key.secret})
    assert answer.json()["email"] == user.email
    assert get(client, keys.new_key()).status_code == 401


def test_a_browser_that_changes_something_needs_its_csrf_token(user):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(user)
    response = browser.post("/api/me", {}, content_type="application/json")
    assert response.status_code == 403
    assert response.json()["error"]["code"] == "permission_denied"
