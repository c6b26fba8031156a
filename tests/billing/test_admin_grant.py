"""Granting credits in the admin: asked, confirmed, once, and with a name under it."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from accounts.models import User
from ledger.balances import balance_of
from ledger.models import Grant, Transfer
from tests.admin_pages import token_on

pytestmark = pytest.mark.django_db


@pytest.fixture
def path(user):
    return f"/admin/accounts/user/{user.pk}/grant/"


def fill(client, path, **changes):
    """The form as the browser would send it, with the token of the page."""
    token = token_on(client, path)
    typed = {"amount": "2.5", "kind": "promotion", "reason": "An evening lost.", "expires": ""}
    return {"token": token} | typed | changes


def test_confirmed_it_is_a_transfer_that_names_who_and_why(admin, staff, user, path):
    sent = fill(admin, path)
    asked = admin.post(path, sent | {"check": "yes"})
    assert "rider@example.com gets 2.500000 credits." in asked.content.decode()
    assert not Transfer.objects.exists()
    done = admin.post(path, sent | {"confirmed": "yes"}, follow=True)
    assert "Granted 2.500000 credits to rider@example.com" in done.content.decode()
    assert balance_of(user).available == 2_500_000
    transfer = Transfer.objects.get()
    assert transfer.metadata == {
        "reason": "An evening lost.",
        "actor": staff.pk,
    }
    assert transfer.key == f"admin:grant:{sent['token']}"
    page = admin.get(f"/admin/ledger/transfer/{transfer.pk}/change/").content.decode()
    assert "staff@example.com" in page
    assert "An evening lost." in page
    assert f"/admin/accounts/user/{staff.pk}/change/" in page
    assert "An evening lost." in LogEntry.objects.get().get_change_message()


def test_sent_twice_it_counts_once(admin, user, path):
    sent = fill(admin, path) | {"confirmed": "yes"}
    for _ in range(3):
        assert admin.post(path, sent).status_code == 302
    assert Transfer.objects.count() == 1
    assert balance_of(user).available == 2_500_000


def test_the_same_page_sent_again_with_another_amount_is_refused(admin, user, path):
    sent = fill(admin, path) | {"confirmed": "yes"}
    admin.post(path, sent)
    response = admin.post(path, sent | {"amount": "9"})
    assert response.status_code == 200
    assert "used before with another input" in response.content.decode()
    assert balance_of(user).available == 2_500_000


def test_a_purchase_and_an_expiry(admin, user, path):
    day = timezone.now().date() + timedelta(days=3)
    sent = fill(admin, path, kind="purchase", expires=day.isoformat())
    admin.post(path, sent | {"confirmed": "yes"})
    lot = Grant.objects.get()
    assert lot.kind == "purchase"
    assert lot.expires_at == datetime(day.year, day.month, day.day, tzinfo=UTC)


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": "0"},
        {"amount": "-1"},
        {"amount": "1e6"},
        {"amount": "0.0000001"},
        {"amount": ""},
        {"reason": ""},
        {"reason": "   "},
        {"kind": "refund"},
        {"kind": "allowance"},
        {"expires": "2020-01-01"},
        {"expires": "soon"},
        {"token": "nonsense"},
        {"token": ""},
    ],
)
def test_what_can_not_be_is_said_on_the_form(admin, path, changes):
    response = admin.post(path, fill(admin, path, **changes) | {"confirmed": "yes"})
    assert response.status_code == 200
    assert not Transfer.objects.exists()


def test_only_by_post(admin, path):
    admin.get(path, fill(admin, path) | {"confirmed": "yes"})
    assert not Transfer.objects.exists()


def test_a_forged_post_is_refused(staff, path):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(staff)
    assert browser.post(path, {"confirmed": "yes"}).status_code == 403


def test_nobody_and_users_are_sent_to_the_login(client, user, path):
    assert client.post(path).status_code == 302
    client.force_login(user)
    assert client.post(path).status_code == 302
    assert not Transfer.objects.exists()


def test_staff_without_the_permission_may_not(client, path):
    clerk = User.objects.create_user("clerk@example.com", is_staff=True)
    for name in ("view_user", "view_grant", "view_transfer"):
        apps = ("accounts", "ledger")  # dj-stripe has transfers, too
        clerk.user_permissions.add(
            Permission.objects.get(codename=name, content_type__app_label__in=apps)
        )
    client.force_login(clerk)
    page = client.get(path.replace("grant", "change"))
    assert page.status_code == 200
    assert path not in page.content.decode()
    assert client.get(path).status_code == 403
    assert client.post(path, {"confirmed": "yes"}).status_code == 403
    clerk.user_permissions.add(
        Permission.objects.get(codename="add_grant", content_type__app_label="ledger")
    )
    client.force_login(User.objects.get(pk=clerk.pk))
    assert client.post(path, fill(client, path) | {"confirmed": "yes"}).status_code == 302
    assert Transfer.objects.count() == 1


def test_for_nobody(admin):
    assert admin.get("/admin/accounts/user/999999/grant/").status_code == 403
