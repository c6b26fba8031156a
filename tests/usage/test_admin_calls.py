"""Calls in the admin: found, explained, refunded."""

import uuid
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from accounts.models import User
from ledger.balances import balance_of
from ledger.models import Transfer
from tests.admin_pages import token_on
from tests.billing.conftest import admin, staff
from tests.usage.calls import begin, finish, written
from usage.admin_calls import first_id_at
from usage.models import MonthlyUsage

__all__ = ["admin", "staff"]
pytestmark = pytest.mark.django_db

CALLS = "/admin/usage/call/"


def listed(admin, **query):
    return [row.pk for row in admin.get(CALLS, query).context["cl"].queryset]


def test_found_by_id_email_and_model(admin, user, stranger):
    earlier = timezone.now() - timedelta(minutes=1)  # of one millisecond, ids are in any order
    first = uuid.UUID(int=first_id_at(earlier).int | 7 << 76)
    mine = written(user, id=first, started=earlier)
    theirs = written(stranger, model="gpt-5")
    assert listed(admin) == [theirs.pk, mine.pk]
    assert listed(admin, q=str(mine.pk)) == [mine.pk]
    assert listed(admin, q="stranger@example.com") == [theirs.pk]
    assert listed(admin, q="rid") == [mine.pk]
    assert listed(admin, q="gpt-5") == [theirs.pk]
    assert listed(admin, q=str(uuid.uuid4())) == []
    assert listed(admin, q="nobody@example.com") == []


def test_filtered(admin, user):
    failed = written(user, status="failed")
    done = written(user)
    assert listed(admin, status__exact="failed") == [failed.pk]
    old_id = uuid.UUID(int=first_id_at(timezone.now() - timedelta(days=40)).int | 7 << 76)
    old = written(user, id=old_id, started=timezone.now() - timedelta(days=40))
    assert set(listed(admin, began="day")) == {failed.pk, done.pk}
    assert old.pk not in listed(admin, began="month")
    assert old.pk in listed(admin)


def test_read_only(admin, user):
    call = written(user)
    page = f"{CALLS}{call.pk}/"
    assert admin.get(f"{page}change/").status_code == 200
    assert admin.post(f"{page}change/", {"spent": 0}).status_code == 403
    assert admin.post(f"{page}delete/", {"post": "yes"}).status_code == 403
    assert admin.get(f"{CALLS}add/").status_code == 403


def test_the_list_and_its_page_cost_the_same_however_many(
    admin, user, stranger, api_key, django_assert_max_num_queries
):
    for n in range(20):
        call = written([user, stranger][n % 2], api_key=api_key.key)
        MonthlyUsage.objects.create(user=user, api_key=api_key.key, month=f"20{n + 10}-01")
    admin.get(f"{CALLS}{call.pk}/change/")  # fills Django's cache of content types
    with django_assert_max_num_queries(7):
        admin.get(CALLS)
    with django_assert_max_num_queries(6):
        admin.get("/admin/usage/monthlyusage/")
    with django_assert_max_num_queries(10):
        admin.get(f"{CALLS}{call.pk}/change/")


def refund(client, call, **changes):
    path = f"{CALLS}{call}/refund/"
    token = token_on(client, path)
    sent = {"token": token, "amount": "0.3", "reason": "The answer was cut off."} | changes
    return sent, lambda **more: client.post(path, sent | more, follow=True)


def test_refunded_once_with_name_and_reason(admin, staff, user, wallet, fund):
    fund(wallet, 1_000_000)
    call = finish(begin(user, held=500_000), charge=400_000)
    sent, post = refund(admin, call)
    post()
    assert balance_of(user).posted == 600_000
    for _ in range(2):
        post(confirmed="yes")
    assert balance_of(user).posted == 900_000
    transfer = Transfer.objects.get(kind="refund")
    assert transfer.metadata["actor"] == staff.pk
    assert transfer.metadata["reason"] == sent["reason"]
    html = admin.get(f"{CALLS}{call}/change/").content.decode()
    assert "0.300000" in html
    _, post = refund(admin, call, amount="0.2")
    assert "At most 0.100000" in post(confirmed="yes").content.decode()
    _, post = refund(admin, call, amount="0.1")
    post(confirmed="yes")
    assert balance_of(user).posted == 1_000_000


def test_refunding_needs_its_permission(client, user, wallet, fund):
    fund(wallet, 1_000_000)
    call = finish(begin(user))
    clerk = User.objects.create_user("clerk@example.com", is_staff=True)
    clerk.user_permissions.add(Permission.objects.get(codename="view_call"))
    client.force_login(clerk)
    assert client.post(f"{CALLS}{call}/refund/", {"confirmed": "yes"}).status_code == 403
