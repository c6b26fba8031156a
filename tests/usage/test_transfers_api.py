"""GET /api/transfers: what came into the wallet and what left it."""

from datetime import timedelta

import pytest
from django.utils import timezone

from ledger import verbs
from ledger.models import Transfer
from tests.usage.calls import begin, finish

pytestmark = pytest.mark.django_db


def rows(response):
    assert response.status_code == 200, response.content
    return response.json()["results"]


def test_a_history(api, user, wallet, fund):
    fund(wallet, 5_000_000)
    call = finish(begin(user, held=2_000_000), charge=1_500_000)
    capture = Transfer.objects.get(kind="capture")
    verbs.refund(transfer=capture.pk, amount=500_000, key="refund")
    verbs.spend(account=wallet, amount=250_000, key="spend")
    soon = timezone.now() + timedelta(days=1)
    verbs.grant(account=wallet, amount=1, kind="promotion", key="gift", expires_at=soon)
    shown = rows(api.get("/api/transfers"))
    assert [(row["kind"], row["amount"], row["call"]) for row in shown] == [
        ("promotion", "0.000001", None),
        ("capture", "-0.250000", None),
        ("refund", "0.500000", str(call)),
        ("capture", "-1.500000", str(call)),
        ("purchase", "5.000000", None),
    ]
    assert set(shown[0]) == {"id", "kind", "amount", "call", "reason", "created"}
    ids = [row["id"] for row in shown]
    assert ids == sorted(ids, reverse=True)


def test_the_reason_and_actor_of_staff_are_not_the_users_to_read(api, wallet):
    secret = {"reason": "abuse suspected", "actor": 7}
    verbs.grant(account=wallet, amount=1, kind="promotion", key="admin:1", metadata=secret)
    response = api.get("/api/transfers")
    assert "abuse" not in response.content.decode()
    assert "staff" not in response.content.decode()
    assert "admin:1" not in response.content.decode()


def test_without_a_wallet_there_is_nothing(api):
    assert api.get("/api/transfers").json() == {"next": None, "previous": None, "results": []}


def test_pages_there_and_back(api, wallet, fund):
    for n in range(1, 8):
        fund(wallet, n * 1_000)
        if n % 2:
            verbs.spend(account=wallet, amount=n, key=f"spend:{n}")
    everything = rows(api.get("/api/transfers"))
    assert len(everything) == 11
    pages, link = [], "/api/transfers?limit=3"
    while link:
        answer = api.get(link).json()
        pages.append(answer["results"])
        last, link = answer, answer["next"]
    assert [row for page in pages for row in page] == everything
    for page in reversed(pages[:-1]):
        last = api.get(last["previous"]).json()
        assert last["results"] == page
    assert last["previous"] is None


def test_only_ones_own(api, stranger_api, stranger, wallet, fund):
    fund(wallet, 1_000)
    theirs = verbs.wallet_of(user=stranger.pk)
    fund(theirs, 2_000)
    assert [row["amount"] for row in rows(api.get("/api/transfers"))] == ["0.001000"]
    assert [row["amount"] for row in rows(stranger_api.get("/api/transfers"))] == ["0.002000"]


@pytest.mark.parametrize("cursor", ["x", "WzAsIngiXQ", "WzAsIi0xIl0", "WzAsIjEiLCIyIl0", "\0"])
def test_a_bad_cursor(api, wallet, cursor):
    response = api.get("/api/transfers", {"cursor": cursor})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "cursor"


def test_as_csv(api, wallet, fund):
    fund(wallet, 1_000_000)
    verbs.spend(account=wallet, amount=1, key="spend")
    lines = api.get("/api/transfers?format=csv").content.decode().splitlines()
    assert lines[0] == "id,kind,amount,call,reason,created"
    assert lines[1].split(",")[1:4] == ["capture", "-0.000001", ""]


def test_queries_do_not_grow(api, wallet, fund, django_assert_num_queries):
    for n in range(1, 20):
        fund(wallet, n)
    api.get("/api/transfers")
    with django_assert_num_queries(4):  # the key, the wallet, what came in, what left
        api.get("/api/transfers")
