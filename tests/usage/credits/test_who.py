"""Who may call /api/credits: live service keys, whose owner is staff, and nobody else."""

import pytest
from django.test import Client

from accounts import services, verbs
from accounts.models import User
from tests.accounts import people
from tests.usage.credits.service import CREDIT, Service

pytestmark = pytest.mark.django_db

SPEND = {"account": "rider@example.com", "amount": "1", "reason": "a poster"}


@pytest.fixture
def rich(wallet, fund):
    fund(wallet, 20 * CREDIT)
    return wallet


def _post(client, **headers):
    return client.post(
        "/api/credits/spend",
        SPEND,
        content_type="application/json",
        headers={"idempotency-key": "one"} | headers,
    )


def test_who_shows_no_credential(user, rich):
    response = _post(Client())
    assert response.status_code == 401
    assert "Bearer" in response["www-authenticate"]


def test_a_browsers_cookie_is_no_way_in(user, rich, books):
    before = books()
    browser = Client()
    User.objects.filter(pk=user.pk).update(is_staff=True, is_superuser=True)
    browser.force_login(User.objects.get(pk=user.pk))
    assert _post(browser).status_code == 401
    assert books() == before


def test_who_is_signed_in_is_no_service(user, rich, books):
    user.is_staff = user.is_superuser = True
    user.set_password(people.PASSWORD)
    user.save()
    token = people.session_token(user.email)
    before = books()
    response = _post(Client(), **{"x-session-token": token})
    assert response.status_code == 403
    assert "service key" in response.json()["error"]["message"]
    assert books() == before


def test_a_key_of_another_kind(user, api_key, rich, books):
    before = books()
    error = _post(Client(), **{"x-api-key": api_key.secret})
    assert (error.status_code, error.json()["error"]["code"]) == (403, "permission_denied")
    assert "credits" in error.json()["error"]["message"]
    assert books() == before


def test_staffs_own_keys_of_other_scopes(user, rich):
    user.is_staff = True
    user.save()
    issued = verbs.issue_key(user=user, name="x", scopes=["ai", "read"])
    assert _post(Client(), **{"x-api-key": issued.secret}).status_code == 403


def test_a_service_key_can_nothing_else(shop):
    for path in ("/api/me", "/api/keys", "/api/transfers"):
        assert shop.client.get(path).status_code == 403


def test_a_revoked_key_stops_at_once(shop, user, rich):
    shop.done("spend", **SPEND)
    verbs.revoke_key(key=shop.key)
    shop.refused("spend", 401, **SPEND)


def test_a_key_whose_owner_is_no_longer_staff(user, rich):
    boss = verbs.create_user(email="boss@example.com")
    boss.is_staff = True
    boss.save()
    theirs = Service(verbs.issue_key(user=boss, name="mine", scopes=["credits"]))
    theirs.done("spend", **SPEND)
    boss.is_staff = False
    boss.save()
    theirs.refused("spend", 403, **SPEND)


def test_a_renewed_key_keeps_what_is_its_own(shop, user, rich):
    hold = shop.done("hold", **SPEND)["hold"]
    renewed = services.renew(key=shop.key)
    shop.refused("release", 401, hold=hold)
    Service(renewed).done("release", "another", hold=hold)


def test_each_key_has_its_own_rate(shop, other, user, rich, settings):
    settings.SERVICE_RATE_KEY = "3/day"
    settings.API_RATE_USER = "1/day"  # of people; theirs is another
    statuses = [shop.ask("spend", **SPEND).status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    other.done("spend", **SPEND)
