"""revoke: a payment went back, and with it the credits it bought."""

import pytest

from common.errors import BadInput, NotFound, WalletFrozen
from ledger import verbs
from ledger.models import Account, Grant
from tests.ledger.books import LEASE, balance, lots, make_due, total

pytestmark = pytest.mark.usefixtures("proved")


def met(result):
    """How a revocation was met: from the wallet, from what had lapsed, by a receivable."""
    return result.taken, result.lapsed, result.receivable


def test_an_unspent_lot_is_taken_back(wallet, fund):
    grant = fund(wallet, 100).grant

    undone = verbs.revoke(grant=grant, amount=60, key="revoke")

    assert met(undone) == (60, 0, 0)
    assert balance(wallet) == (40, 0, 0)
    assert total("sales") == -40
    assert Grant.objects.get(pk=grant).revoked == 60


def test_its_own_lot_goes_before_all_others(wallet, fund):
    fund(wallet, 50, kind="allowance")
    grant = fund(wallet, 100).grant

    verbs.revoke(grant=grant, amount=100, key="revoke")

    assert lots(wallet) == [("allowance", 50)]


def test_what_of_it_was_spent_comes_from_other_lots(wallet, fund):
    grant = fund(wallet, 100).grant
    verbs.spend(account=wallet, amount=70, key="spend")
    fund(wallet, 50)

    undone = verbs.revoke(grant=grant, amount=100, key="revoke")

    assert met(undone) == (80, 0, 20)
    assert balance(wallet) == (0, 0, 20)
    assert total("sales") == -50


def test_what_expired_unused_is_owed_by_nobody(wallet, fund):
    grant = fund(wallet, 100, kind="allowance").grant
    verbs.spend(account=wallet, amount=30, key="spend")
    make_due(grant)
    verbs.expire(account=wallet)

    undone = verbs.revoke(grant=grant, amount=80, key="first")
    assert met(undone) == (0, 70, 10)
    assert (total("expired"), total("sales")) == (0, -20)

    undone = verbs.revoke(grant=grant, amount=20, key="second")
    assert met(undone) == (0, 0, 20)
    assert balance(wallet) == (0, 0, 30)


def test_what_is_held_is_not_taken(wallet, fund):
    grant = fund(wallet, 100).grant
    hold = verbs.hold(account=wallet, amount=80, key="hold", kind="api", lease=LEASE).hold

    undone = verbs.revoke(grant=grant, amount=100, key="revoke")

    assert met(undone) == (20, 0, 80)
    assert balance(wallet) == (80, 80, 80)
    taken = verbs.capture(hold=hold, amount=50, key="capture")
    assert taken.amount == 50
    assert balance(wallet) == (0, 0, 50)  # the 30 that returned were owed


def test_a_released_hold_settles(wallet, fund):
    grant = fund(wallet, 100).grant
    hold = verbs.hold(account=wallet, amount=80, key="hold", kind="api", lease=LEASE).hold
    verbs.revoke(grant=grant, amount=100, key="revoke")

    verbs.release(hold=hold, key="release")

    assert balance(wallet) == (0, 0, 0)
    assert total("sales") == 0


def test_a_frozen_wallets_capture_takes_no_more_than_its_hold(wallet, fund):
    grant = fund(wallet, 100).grant
    first, second = (
        verbs.hold(account=wallet, amount=50, key=key, kind="api", lease=LEASE).hold
        for key in ("first", "second")
    )
    verbs.revoke(grant=grant, amount=100, key="revoke")
    verbs.release(hold=first, key="release")
    assert balance(wallet) == (50, 50, 50)

    taken = verbs.capture(hold=second, amount=70, key="capture")

    assert (taken.amount, taken.written_off) == (50, 20)
    assert balance(wallet) == (0, 0, 50)


def test_a_later_grant_settles_and_thaws(wallet, fund):
    grant = fund(wallet, 100).grant
    verbs.spend(account=wallet, amount=100, key="spend")
    verbs.revoke(grant=grant, amount=100, key="revoke")
    assert balance(wallet) == (0, 0, 100)

    part = verbs.grant(account=wallet, amount=60, kind="purchase", key="part")
    assert part.balance == verbs.Balance(posted=0, held=0, available=0, owed=40)
    with pytest.raises(WalletFrozen):
        verbs.spend(account=wallet, amount=1, key="frozen")

    rest = verbs.grant(account=wallet, amount=60, kind="purchase", key="rest")
    assert rest.balance == verbs.Balance(posted=20, held=0, available=20, owed=0)
    verbs.spend(account=wallet, amount=20, key="thawed")


def test_a_refund_settles(wallet, fund):
    grant = fund(wallet, 100).grant
    spent = verbs.spend(account=wallet, amount=100, key="spend").transfer
    verbs.revoke(grant=grant, amount=100, key="revoke")

    back = verbs.refund(transfer=spent, amount=100, key="refund")

    assert back.balance == verbs.Balance(posted=0, held=0, available=0, owed=0)


def test_all_revocations_together_are_at_most_the_grant(wallet, fund):
    grant = fund(wallet, 100).grant
    verbs.revoke(grant=grant, amount=70, key="first")

    with pytest.raises(BadInput, match=r"0\.000030 credits are left"):
        verbs.revoke(grant=grant, amount=31, key="second")

    assert balance(wallet) == (30, 0, 0)


@pytest.mark.parametrize("amount", [0, -1, None])
def test_an_amount_that_cannot_be_is_refused(wallet, fund, amount):
    with pytest.raises(BadInput):
        verbs.revoke(grant=fund(wallet, 100).grant, amount=amount, key="revoke")


def test_a_refund_lot_and_a_lot_that_is_not_there_are_not_revoked(wallet, fund):
    fund(wallet, 10)
    spent = verbs.spend(account=wallet, amount=10, key="spend").transfer
    verbs.refund(transfer=spent, amount=10, key="refund")

    for grant in (Grant.objects.get(kind="refund").pk, 987_654_321):
        with pytest.raises(NotFound):
            verbs.revoke(grant=grant, amount=1, key="revoke")


def test_a_deleted_users_wallet_can_still_be_revoked(user, wallet, fund):
    grant = fund(wallet, 100).grant
    verbs.spend(account=wallet, amount=100, key="spend")
    verbs.revoke(grant=grant, amount=40, key="before")
    user.delete()

    verbs.revoke(grant=grant, amount=40, key="after 1")
    verbs.revoke(grant=grant, amount=20, key="after 2")
    assert balance(wallet) == (0, 0, 100)
    verbs.grant(account=wallet, amount=100, kind="purchase", key="settles")

    assert balance(wallet) == (0, 0, 0)
    assert Account.objects.filter(kind="receivable").count() == 1
