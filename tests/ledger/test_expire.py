"""expire: the unspent, unheld part of a lot leaves at its date."""

from datetime import UTC, datetime, timedelta

import pytest

from common.errors import NotFound
from ledger import sweep, verbs
from ledger.models import Grant, Transfer
from tests.ledger.books import LEASE, balance, lots, make_due, total

pytestmark = pytest.mark.usefixtures("proved")


def hold(wallet, amount, key="hold"):
    return verbs.hold(account=wallet, amount=amount, key=key, kind="api", lease=LEASE).hold


def test_a_lot_that_is_due_leaves_once(wallet, fund):
    fund(wallet, 10)
    grant = fund(wallet, 100, kind="allowance").grant
    verbs.spend(account=wallet, amount=30, key="spend")
    make_due(grant)

    assert verbs.expire(account=wallet).amount == 70
    again = verbs.expire(account=wallet)

    assert again.amount == 0
    assert again.balance == verbs.Balance(posted=10, held=0, available=10, owed=0)
    assert lots(wallet) == [("purchase", 10)]
    assert total("expired") == 70
    assert Grant.objects.get(pk=grant).lapsed == 70


def test_a_lot_whose_date_is_ahead_stays(wallet, fund):
    fund(wallet, 100, expires_at=datetime.now(UTC) + timedelta(minutes=5))

    assert verbs.expire(account=wallet).amount == 0
    assert balance(wallet) == (100, 0, 0)


def test_what_is_held_stays_and_leaves_when_the_hold_has_ended(wallet, fund):
    grant = fund(wallet, 100, kind="promotion").grant
    held = hold(wallet, 60)
    make_due(grant)

    assert verbs.expire(account=wallet).amount == 40
    assert balance(wallet) == (60, 60, 0)
    verbs.capture(hold=held, amount=25, key="capture")
    assert verbs.expire(account=wallet).amount == 35

    assert balance(wallet) == (0, 0, 0)
    assert (total("expired"), total("revenue")) == (75, 25)
    keys = Transfer.objects.filter(kind="expire").values_list("key", flat=True)
    assert sorted(keys) == [f"grant:{grant}:expire:100", f"grant:{grant}:expire:35"]


def test_holds_keep_back_the_lots_that_captures_would_draw(wallet, fund):
    kept = fund(wallet, 50, kind="allowance").grant
    gone = fund(wallet, 50, kind="promotion").grant
    hold(wallet, 50)
    make_due(kept)
    make_due(gone)

    assert verbs.expire(account=wallet).amount == 50

    assert lots(wallet) == [("allowance", 50)]


def test_every_wallet_with_a_due_lot_is_looked_at(make_wallet, fund, monkeypatch):
    monkeypatch.setattr(sweep, "BATCH", 2)
    wallets = [make_wallet() for _ in range(5)]
    for one in wallets:
        fund(one, 5)
        make_due(fund(one, 10, kind="promotion").grant)

    assert sweep.expire_lots() == 50
    assert sweep.expire_lots() == 0

    assert [balance(one) for one in wallets] == [(5, 0, 0)] * 5


def test_a_due_lot_that_stays_held_is_passed_by(wallet, fund):
    """It is listed as due each time, and must not be looked at for ever."""
    grant = fund(wallet, 10, kind="allowance").grant
    fund(wallet, 10)
    hold(wallet, 10)
    make_due(grant)

    assert sweep.expire_lots() == 0


def test_only_a_wallets_lots_expire(clean_books):
    with pytest.raises(NotFound):
        verbs.expire(account=3)
