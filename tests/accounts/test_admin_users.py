"""Users and their keys in the admin."""

import pytest
from django.contrib.auth.models import Permission

from accounts import verbs
from accounts.models import ApiKey, User
from tests.admin_pages import token_on

pytestmark = pytest.mark.django_db

USERS = "/admin/accounts/user/"


def test_found_by_how_the_address_begins(admin, user):
    verbs.create_user(email="other@example.com")
    html = admin.get(USERS, {"q": "RIDER@"}).content.decode()
    assert "rider@example.com" in html
    assert "other@example.com" not in html


def test_the_page_shows_plan_wallet_and_keys_but_no_secret(admin, user, wallet, fund, api_key):
    fund(wallet, 12_345_678)
    html = admin.get(f"{USERS}{user.pk}/change/").content.decode()
    assert "12.345678" in html
    assert "Free" in html
    assert api_key.key.prefix in html
    assert api_key.secret not in html
    assert api_key.key.digest.hex() not in html
    assert f"/admin/accounts/apikey/{api_key.key.pk}/change/" in html


def test_a_list_costs_the_same_for_one_and_for_many(admin, user, django_assert_max_num_queries):
    for n in range(30):
        verbs.create_user(email=f"rider{n}@example.com")
    admin.get("/admin/")  # lists the session
    with django_assert_max_num_queries(6):
        assert admin.get(USERS).status_code == 200


def test_a_new_user_has_a_small_lettered_address(admin):
    sent = {"email": "New@Example.com", "usable_password": "false"}
    assert admin.post(f"{USERS}add/", sent).status_code == 302
    assert User.objects.filter(email="new@example.com").exists()
    response = admin.post(f"{USERS}add/", sent | {"email": "NEW@example.com"})
    assert response.status_code == 200


def test_users_are_not_deleted(admin, user):
    assert admin.post(f"{USERS}{user.pk}/delete/", {"post": "yes"}).status_code == 403
    sent = {"action": "delete_selected", "_selected_action": [user.pk], "post": "yes"}
    admin.post(USERS, sent)
    assert User.objects.filter(pk=user.pk).exists()


@pytest.fixture
def clerk(client):
    """Staff who may change users, and no more."""
    clerk = User.objects.create_user("clerk@example.com", is_staff=True)
    for name in ("view_user", "change_user"):
        clerk.user_permissions.add(Permission.objects.get(codename=name))
    client.force_login(clerk)
    return clerk


def test_staff_can_not_make_themselves_more_than_they_are(client, clerk, staff):
    sent = {"email": clerk.email, "is_active": "on", "is_staff": "on", "is_superuser": "on"}
    client.post(f"{USERS}{clerk.pk}/change/", sent)
    clerk.refresh_from_db()
    assert not clerk.is_superuser
    path = f"{USERS}{staff.pk}/change/"
    assert client.post(path, {"email": "mine@example.com"}).status_code == 403
    taken = {"password1": "Xq7-hhh-2z", "password2": "Xq7-hhh-2z", "usable_password": "true"}
    assert client.post(f"{USERS}{staff.pk}/password/", taken).status_code == 403


def test_a_key_is_revoked_after_asking(admin, client, api_key):
    path = f"/admin/accounts/apikey/{api_key.key.pk}/revoke/"
    token = token_on(admin, path)
    sent = {"token": token, "reason": "Seen in a public repository."}
    admin.post(path, sent)
    assert ApiKey.objects.get().is_active
    done = admin.post(path, sent | {"confirmed": "yes"}, follow=True)
    assert "Seen in a public repository." in done.content.decode()
    assert ApiKey.objects.get().revoked_at
    assert client.get("/api/me", headers={"x-api-key": api_key.secret}).status_code == 401
    again = admin.post(path, sent | {"confirmed": "yes"}, follow=True)
    assert "revoked already" in again.content.decode()


def test_revoking_needs_its_permission(client, clerk, api_key):
    clerk.user_permissions.add(
        Permission.objects.get(codename="view_apikey", content_type__app_label="accounts")
    )
    path = f"/admin/accounts/apikey/{api_key.key.pk}/revoke/"
    assert client.post(path, {"confirmed": "yes"}).status_code == 403
    assert ApiKey.objects.get().is_active


def test_keys_are_read_only_and_found_by_prefix_or_owner(admin, api_key):
    base = "/admin/accounts/apikey/"
    assert admin.get(f"{base}add/").status_code == 403
    assert admin.post(f"{base}{api_key.key.pk}/change/", {"name": "x"}).status_code == 403
    assert admin.post(f"{base}{api_key.key.pk}/delete/", {"post": "yes"}).status_code == 403
    for query, found in [(api_key.key.prefix, True), ("fb_000000", False), ("rider@", True)]:
        html = admin.get(base, {"q": query}).content.decode()
        assert (str(api_key.key.pk) in html) is found, query
