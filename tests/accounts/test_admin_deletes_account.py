"""Staff delete somebody's account, on request: by the same verb, asked for twice."""

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission

from accounts.models import User
from ledger.models import Account
from tests.accounts.history import found_anywhere
from tests.admin_pages import token_on

pytestmark = pytest.mark.django_db

REASON = "Asked for by letter."


def path_of(user):
    return f"/admin/accounts/user/{user.pk}/leave/"


def test_after_asking_it_is_gone_and_the_history_says_why(admin, user, wallet, fund):
    fund(wallet, 500)
    path, address = path_of(user), user.email
    sent = {"token": token_on(admin, path), "reason": REASON}
    assert "signed out everywhere" in admin.post(path, sent).content.decode()
    assert User.objects.get(pk=user.pk).is_active

    done = admin.post(path, sent | {"confirmed": "yes"}, follow=True)

    assert REASON in done.content.decode()
    user.refresh_from_db()
    assert user.email == f"deleted-{user.pk}@deleted.invalid"
    assert Account.objects.get(pk=wallet).posted == 0
    entry = LogEntry.objects.latest("id")
    assert (entry.object_repr, entry.change_message) == (
        user.email,
        f"Deleted the account: {REASON}",
    )
    assert found_anywhere(address) == []
    again = admin.post(path, sent | {"confirmed": "yes"}, follow=True)
    assert "deleted already" in again.content.decode()


def test_staff_are_not_deleted(admin, staff):
    path = path_of(staff)
    sent = {"token": token_on(admin, path), "reason": REASON, "confirmed": "yes"}
    assert "superuser takes the role" in admin.post(path, sent).content.decode()
    staff.refresh_from_db()
    assert staff.is_active


def test_it_needs_its_permission(client, user):
    clerk = User.objects.create_user("clerk@example.com", is_staff=True)
    for name in ("view_user", "change_user"):
        clerk.user_permissions.add(Permission.objects.get(codename=name))
    client.force_login(clerk)
    assert client.post(path_of(user), {"confirmed": "yes"}).status_code == 403
    user.refresh_from_db()
    assert user.is_active


def test_transfers_name_staff_by_id_alone(admin, staff, user, wallet, fund):
    """They can't be changed when somebody leaves, staff included."""
    path = f"/admin/accounts/user/{user.pk}/grant/"
    sent = {"token": token_on(admin, path), "amount": "1", "kind": "promotion", "reason": "x"}
    admin.post(path, sent | {"confirmed": "yes"})
    (transfer,) = Account.objects.get(pk=wallet).credits.all()
    assert transfer.metadata["actor"] == staff.pk
    assert staff.email not in str(transfer.metadata)
    page = admin.get(f"/admin/ledger/transfer/{transfer.pk}/change/")
    assert staff.email in page.content.decode()
