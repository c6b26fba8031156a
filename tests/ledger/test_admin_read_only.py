"""The books in the admin: to read and to search, and in no way to change."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client

from accounts.models import User
from common.admin import EstimatingPaginator
from ledger import verbs
from ledger.models import (
    Account,
    Grant,
    Hold,
    IdempotencyKey,
    Reconciliation,
    Transfer,
)
from tests.usage.calls import begin, finish

pytestmark = pytest.mark.django_db

MODELS = [Account, Grant, Hold, IdempotencyKey, Reconciliation, Transfer]


@pytest.fixture
def admin(user):
    client = Client()
    client.force_login(User.objects.create_superuser("staff@example.com"))
    return client


@pytest.fixture
def books(user, wallet, fund):
    """A row of everything."""
    fund(wallet, 9_000_000)
    call = finish(begin(user))
    verbs.hold(account=wallet, amount=5, kind="api", key="held", lease=timedelta(seconds=9))
    Reconciliation.objects.create(seconds=1, counts={"holds": 2}, violations=["wallet 7 is short"])
    return call


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_no_adding_changing_or_deleting_by_any_way(admin, books, model):
    base = f"/admin/ledger/{model._meta.model_name}/"
    row = model.objects.first()
    address = f"{base}{str(row.pk).replace(':', '_3A')}/"
    before = list(model.objects.order_by("pk").values())
    assert admin.get(base).status_code == 200
    page = admin.get(f"{address}change/")
    assert page.status_code == 200
    assert 'name="_save"' not in page.content.decode()
    assert admin.get(f"{base}add/").status_code == 403
    assert admin.post(f"{base}add/", {}).status_code == 403
    assert admin.post(f"{address}change/", {"amount": "1", "kind": "x"}).status_code == 403
    assert admin.get(f"{address}delete/").status_code == 403
    assert admin.post(f"{address}delete/", {"post": "yes"}).status_code == 403
    action = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
    admin.post(base, action)
    assert list(model.objects.order_by("pk").values()) == before


@pytest.mark.parametrize(
    ("page", "query"),
    [
        ("transfer", "{call}"),
        ("transfer", "call:{call}"),
        ("transfer", "rider@example.com"),
        ("transfer", "RIDER"),
        ("hold", "{call}"),
        ("grant", "rider@example.com"),
        ("account", "rider"),
        ("idempotencykey", "fund:"),
    ],
)
def test_found(admin, books, page, query):
    listed = admin.get(f"/admin/ledger/{page}/", {"q": query.format(call=books)})
    assert listed.context["cl"].result_count > 0
    other = admin.get(f"/admin/ledger/{page}/", {"q": "nobody@example.com"})
    assert other.context["cl"].result_count == 0


def test_a_hold_of_another_kind_is_found_with_its_transfer(admin, books, wallet):
    hold = Hold.objects.get(kind="api")
    verbs.capture(hold=hold.pk, amount=5, key="done")
    listed = admin.get("/admin/ledger/transfer/", {"q": str(hold.pk)})
    assert [row.key for row in listed.context["cl"].result_list] == ["done"]


def test_holds_begin_with_the_open_ones(admin, books):
    def listed(**query):
        return {row.state for row in admin.get("/admin/ledger/hold/", query).context["cl"].queryset}

    assert listed() == {"open"}
    assert listed(state="captured") == {"captured"}
    assert listed(state="all") == {"open", "captured"}


def test_amounts_are_credits(admin, books):
    html = admin.get("/admin/ledger/transfer/").content.decode()
    assert "9.000000" in html
    assert "9000000" not in html


@pytest.mark.parametrize("page", ["transfer", "hold", "grant", "account", "idempotencykey"])
def test_a_list_costs_the_same_however_long(
    admin, books, user, wallet, fund, page, django_assert_max_num_queries
):
    for n in range(20):
        fund(wallet, n + 1)
        hold = {"account": wallet, "amount": 1, "kind": "api", "lease": timedelta(seconds=9)}
        verbs.hold(**hold, key=f"many:{n}")
    query = {"state": "all"} if page == "hold" else {}
    admin.get("/admin/")  # lists the session
    with django_assert_max_num_queries(5):  # session, user, bounded count, estimate, rows
        assert admin.get(f"/admin/ledger/{page}/", query).status_code == 200


def test_the_number_of_rows_is_exact_while_small_and_estimated_beyond(wallet, fund, monkeypatch):
    for n in range(6):
        fund(wallet, n + 1)
    rows = Transfer.objects.order_by("-id")
    assert EstimatingPaginator(rows, 2).count == 6
    monkeypatch.setattr("common.admin.COUNT_UP_TO", 4)
    assert EstimatingPaginator(rows.filter(kind="purchase"), 2).count == 4
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE ledger_transfer")
    assert EstimatingPaginator(rows, 2).count == 6


def test_the_first_page_says_how_the_last_proof_went(admin, books):
    assert "1 violations" in admin.get("/admin/").content.decode()
    Reconciliation.objects.create(seconds=1, counts={}, violations=[])
    html = admin.get("/admin/").content.decode()
    assert "They agree" in html
    assert "Overdue" not in html


def test_before_the_first_proof_it_says_that(admin):
    assert "Not proved yet" in admin.get("/admin/").content.decode()


def test_staff_without_the_permission_see_no_proof(client, books):
    clerk = User.objects.create_user("clerk@example.com", is_staff=True)
    client.force_login(clerk)
    assert "The books" not in client.get("/admin/").content.decode()
