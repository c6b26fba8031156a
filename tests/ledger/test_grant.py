"""grant: credits appear in a wallet, as a lot."""

from datetime import UTC, datetime, timedelta

import pytest

from common.errors import BadInput, NotFound
from ledger import verbs
from ledger.models import Grant, Transfer
from tests.ledger.books import balance, lots, make_due, total

pytestmark = pytest.mark.usefixtures("proved")


def test_a_purchase_makes_a_lot_and_a_transfer_from_sales(wallet):
    made = verbs.grant(
        account=wallet, amount=500, kind="purchase", key="k", metadata={"invoice": "in_1"}
    )

    assert made.balance == verbs.Balance(posted=500, held=0, available=500, owed=0)
    assert made.amount == 500
    assert balance(wallet) == (500, 0, 0)
    assert total("sales") == -500
    lot = Grant.objects.get(pk=made.grant)
    assert (lot.account_id, lot.amount, lot.remaining, lot.priority) == (wallet, 500, 500, 30)
    transfer = Transfer.objects.get(pk=made.transfer)
    assert (transfer.credit_id, transfer.kind, transfer.key) == (wallet, "purchase", "k")
    assert transfer.metadata == {"invoice": "in_1"}


def test_a_promotion_comes_from_promotion(wallet):
    verbs.grant(account=wallet, amount=7, kind="promotion", key="k")

    assert (total("sales"), total("promotion")) == (0, -7)


def test_lots_are_drawn_by_priority_then_soonest_expiry_then_oldest(wallet):
    soon, later = (datetime.now(UTC) + timedelta(days=days) for days in (1, 2))
    for key, kind, expires_at in (
        ("bought", "purchase", None),
        ("bought later", "purchase", None),
        ("gift", "promotion", None),
        ("gift, later", "promotion", later),
        ("gift, soon", "promotion", soon),
        ("plan", "allowance", later),
    ):
        verbs.grant(account=wallet, amount=10, kind=kind, key=key, expires_at=expires_at)
    order = ["plan", "gift, soon", "gift, later", "gift", "bought", "bought later"]

    spent = verbs.spend(account=wallet, amount=55, key="spend")

    drawn = Transfer.objects.get(pk=spent.transfer).metadata["lots"]
    names = dict(Grant.objects.values_list("id", "transfer__key"))
    assert [(names[lot], part) for lot, part in drawn] == [
        *((name, 10) for name in order[:5]),
        ("bought later", 5),
    ]
    assert lots(wallet) == [("purchase", 5)]


def test_a_priority_of_the_callers_own_goes_first(wallet):
    verbs.grant(account=wallet, amount=10, kind="allowance", key="plan")
    first = verbs.grant(account=wallet, amount=10, kind="purchase", key="k", priority=1)

    verbs.spend(account=wallet, amount=10, key="spend")

    assert Grant.objects.get(pk=first.grant).remaining == 0


@pytest.mark.parametrize("amount", [0, -1, 2**53 + 1])
def test_an_amount_that_cannot_be_is_refused(wallet, amount):
    with pytest.raises(BadInput, match="amount"):
        verbs.grant(account=wallet, amount=amount, kind="purchase", key="k")

    assert balance(wallet) == (0, 0, 0)


def test_the_largest_amount_is_taken(wallet):
    verbs.grant(account=wallet, amount=2**53, kind="purchase", key="k")

    assert balance(wallet) == (2**53, 0, 0)


def test_a_refund_lot_is_made_by_refund_only(wallet):
    with pytest.raises(BadInput, match="refund"):
        verbs.grant(account=wallet, amount=1, kind="refund", key="k")


@pytest.mark.parametrize("account", [1, 3, 987_654_321])
def test_only_a_wallet_is_granted_to(account, clean_books):
    with pytest.raises(NotFound):
        verbs.grant(account=account, amount=1, kind="purchase", key="k")


def test_a_lot_that_is_due_cannot_be_spent(wallet):
    made = verbs.grant(account=wallet, amount=10, kind="promotion", key="k")
    make_due(made.grant)

    kept = verbs.grant(account=wallet, amount=5, kind="purchase", key="k2")

    assert kept.balance.posted == 5
    assert total("expired") == 10


def test_a_wallet_is_made_once_and_only_for_somebody(user, wallet):
    assert verbs.wallet_of(user=user.pk) == wallet
    with pytest.raises(NotFound):
        verbs.wallet_of(user=None)
