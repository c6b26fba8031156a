"""Whom it is told: the user in their history, staff in the admin, and whoever waits for it."""

import csv
import io
import json

import pytest
from celery.signals import before_task_publish
from django.test import Client

from accounts import leaving
from accounts.models import User
from billing import nudges
from billing.models import TopUp
from ledger import marks, sweep, verbs
from ledger.models import Account, Hold, Transfer
from tests.proxy.server import wait_for
from tests.usage.credits.service import CREDIT

FILM = {"account": "rider@example.com", "amount": "5", "reason": "a film of <3> minutes"}


@pytest.fixture
def moved(user, wallet, fund, shop):
    """Spent, held and captured, refunded; and staff have given something for reasons of theirs."""
    fund(wallet, 20 * CREDIT)
    spent = shop.done("spend", **FILM)["transfer"]
    shop.done("refund", transfer=spent, amount="1", reason="we are sorry")
    hold = shop.done("hold", **(FILM | {"reason": "a song"}))["hold"]
    shop.done("capture", hold=hold, amount="2")
    secret = {"reason": "abuse suspected", "actor": 7}
    verbs.grant(account=wallet, amount=1, kind="promotion", key="admin:1", metadata=secret)
    return spent


WORDS = [
    ("promotion", "0.000001", None),
    ("capture", "-2.000000", "a song"),
    ("refund", "1.000000", "we are sorry"),
    ("capture", "-5.000000", "a film of <3> minutes"),
    ("purchase", "20.000000", None),
]


@pytest.mark.django_db
def test_the_user_reads_what_it_was_for(moved, api, user, client):
    rows = api.get("/api/transfers").json()["results"]
    assert [(row["kind"], row["amount"], row["reason"]) for row in rows] == WORDS
    lines = csv.DictReader(io.StringIO(api.get("/api/transfers?format=csv").content.decode()))
    assert [line["reason"] for line in lines] == [reason or "" for _, _, reason in WORDS]
    told = io.BytesIO()
    leaving.write_export(user, told)
    exported = json.loads(told.getvalue())["transfers"]
    assert [row["reason"] for row in exported] == [reason for _, _, reason in reversed(WORDS)]
    client.force_login(user)
    page = client.get("/dashboard/history/").content.decode()
    for words in ("a film of &lt;3&gt; minutes", "a song", "we are sorry"):
        assert words in page
    assert "abuse" not in page


@pytest.mark.django_db
def test_an_open_hold_is_in_the_export_with_its_reason(user, wallet, fund, shop):
    fund(wallet, 20 * CREDIT)
    shop.done("hold", **FILM)
    told = io.BytesIO()
    leaving.write_export(user, told)
    (hold,) = json.loads(told.getvalue())["open_holds"]
    assert (hold["amount"], hold["reason"]) == ("5.000000", FILM["reason"])


@pytest.mark.django_db
def test_staff_see_which_service_it_was(moved, shop):
    boss = User.objects.create_superuser("boss@example.com", None)
    browser = Client()
    browser.force_login(boss)
    page = browser.get(f"/admin/ledger/transfer/{moved}/change/").content.decode()
    assert f"/admin/accounts/apikey/{shop.key.pk}/change/" in page
    assert "service shop" in page
    assert "a film of &lt;3&gt; minutes" in page
    hold = Hold.objects.get(kind="api")
    page = browser.get(f"/admin/ledger/hold/{hold.pk}/change/").content.decode()
    assert "service shop" in page
    assert "a song" in page


@pytest.fixture
def nudged():
    """Whose wallets a worker is asked to look at: the tasks that go to the queue."""
    users = []

    def publish(sender, body, **_):
        if sender == nudges.TASK:
            users.extend(body[0])

    before_task_publish.connect(publish)
    yield users
    before_task_publish.disconnect(publish)


@pytest.mark.django_db
def test_who_runs_low_is_looked_at_at_once(user, wallet, fund, shop, nudged):
    fund(wallet, 20 * CREDIT)
    marks.set_low_mark(account=wallet, mark=12 * CREDIT)
    shop.done("spend", **FILM)  # 15
    hold = shop.done("hold", **FILM)["hold"]  # 10 available, and it may come back
    shop.done("release", hold=hold)
    assert nudged == []
    hold = shop.done("hold", **FILM)["hold"]
    shop.done("capture", hold=hold, amount="4")  # 11
    wait_for(lambda: nudged, what="a nudge")
    assert nudged == [user.pk]
    assert Account.objects.get(pk=wallet).low_since is not None


@pytest.mark.django_db
def test_credits_that_expired_are_missed_when_somebody_wants_some(user, wallet, fund, shop):
    """As with a paid call: what time took makes nobody low until then."""
    fund(wallet, 4 * CREDIT)
    marks.set_low_mark(account=wallet, mark=10 * CREDIT)
    Account.objects.filter(pk=wallet).update(low_since=None)
    shop.refused("spend", 402, **FILM)
    assert Account.objects.get(pk=wallet).low_since is not None


def test_leaving_with_open_holds_ends_them_by_the_rules(proved, user, wallet, fund, shop):
    fund(wallet, 20 * CREDIT)
    TopUp.objects.create(user=user)
    spent = shop.done("spend", **FILM)["transfer"]
    captured, released, forgotten = (shop.done("hold", **FILM)["hold"] for _ in range(3))
    leaving.delete_account(user=user)
    shop.refused("hold", 404, **FILM)
    assert Account.objects.get(pk=wallet).posted == 15 * CREDIT  # what is held is not forfeited yet
    shop.done("capture", hold=captured, amount="3")
    shop.done("release", hold=released)
    shop.done("refund", transfer=spent, amount="1")  # into a closed wallet, where it expires
    Hold.objects.filter(pk=forgotten).update(lease_until="2020-01-01T00:00:00Z")
    assert sweep.sweep() == 1
    sweep.expire_lots()
    left = Account.objects.get(pk=wallet)
    assert (left.posted, left.held) == (0, 0)
    taken = Transfer.objects.filter(kind="capture", debit=wallet)
    assert sorted(taken.values_list("amount", flat=True)) == [3 * CREDIT, 5 * CREDIT]
