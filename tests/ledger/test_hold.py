"""hold: reserve before the work."""

from datetime import timedelta

import pytest
from django.utils import timezone

from common.errors import BadInput, InsufficientCredits, NotFound, WalletFrozen
from ledger import verbs
from ledger.models import Hold, Transfer
from tests.ledger.books import LEASE, balance, make_due

pytestmark = pytest.mark.usefixtures("proved")


def hold(wallet, amount, key="hold", **options):
    return verbs.hold(account=wallet, amount=amount, key=key, kind="api", lease=LEASE, **options)


def test_a_hold_reserves_and_moves_nothing(wallet, fund):
    fund(wallet, 100)

    held = hold(wallet, 30, metadata={"order": 7})

    assert held.amount == 30
    assert held.balance == verbs.Balance(posted=100, held=30, available=70, owed=0)
    assert balance(wallet) == (100, 30, 0)
    assert Transfer.objects.filter(kind="capture").count() == 0
    row = Hold.objects.get(pk=held.hold)
    assert (row.account_id, row.kind, row.amount, row.state) == (wallet, "api", 30, "open")
    assert (row.checkpoint, row.metadata) == (None, {"order": 7})
    assert timedelta(seconds=50) < row.lease_until - timezone.now() <= LEASE


def test_all_of_a_wallet_can_be_held_and_not_one_more(wallet, fund):
    fund(wallet, 100)
    hold(wallet, 100, "all")

    with pytest.raises(InsufficientCredits, match=r"0\.000001 .* needed and 0\.000000"):
        hold(wallet, 1, "more")

    assert balance(wallet) == (100, 100, 0)


def test_a_minimum_takes_what_there_is(wallet, fund):
    fund(wallet, 100)

    assert hold(wallet, 500, minimum=100).amount == 100


def test_below_the_minimum_nothing_is_held(wallet, fund):
    fund(wallet, 100)

    with pytest.raises(InsufficientCredits, match=r"0\.000101 .* needed and 0\.000100"):
        hold(wallet, 500, minimum=101)

    assert balance(wallet) == (100, 0, 0)


def test_a_minimum_above_the_amount_asks_for_the_amount(wallet, fund):
    fund(wallet, 10)

    assert hold(wallet, 10, minimum=50).amount == 10


@pytest.mark.parametrize(("amount", "minimum"), [(0, 1), (-5, 1), (5, 0), (5, -1), (2**53 + 1, 1)])
def test_amounts_that_cannot_be_are_refused(wallet, fund, amount, minimum):
    fund(wallet, 100)

    with pytest.raises(BadInput):
        hold(wallet, amount, minimum=minimum)


def test_a_lot_that_is_due_cannot_be_held(wallet, fund):
    make_due(fund(wallet, 100, kind="promotion").grant)

    with pytest.raises(InsufficientCredits, match=r"0\.000000 are available"):
        hold(wallet, 1)


def test_a_frozen_wallet_holds_nothing(wallet, fund):
    grant = fund(wallet, 100).grant
    verbs.spend(account=wallet, amount=100, key="spend")
    verbs.revoke(grant=grant, amount=100, key="revoke")

    with pytest.raises(WalletFrozen, match=r"spent: 0\.000100 credits are owed"):
        hold(wallet, 1)


def test_only_a_wallet_holds(clean_books):
    with pytest.raises(NotFound):
        hold(3, 1)
