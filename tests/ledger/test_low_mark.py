"""When a wallet is low: what sets it, what lifts it, and what does neither."""

from typing import Any

import pytest

from ledger import marks, verbs
from ledger.models import Account
from tests.ledger.books import LEASE, make_due

pytestmark = pytest.mark.usefixtures("proved")


def low_since(wallet: int) -> Any:
    return Account.objects.get(pk=wallet).low_since


@pytest.fixture
def marked(wallet, fund):
    """A wallet of 1,000 with a mark at 400."""
    fund(wallet, 1000)
    marks.set_low_mark(account=wallet, mark=400)
    return wallet


def spend(wallet: int, amount: int, key: str = "s:1") -> None:
    verbs.spend(account=wallet, amount=amount, key=key)


def test_less_than_the_mark_is_low_and_the_mark_itself_is_not(marked):
    spend(marked, 600)
    assert low_since(marked) is None
    spend(marked, 1, "s:2")
    assert low_since(marked) is not None


def test_it_is_low_since_it_was_first(marked):
    spend(marked, 700)
    first = low_since(marked)
    spend(marked, 100, "s:2")
    assert low_since(marked) == first


def test_a_hold_alone_makes_nothing_low_and_its_capture_does(marked):
    held = verbs.hold(account=marked, amount=900, key="h:1", kind="api", lease=LEASE)
    assert low_since(marked) is None
    verbs.capture(hold=held.hold, amount=700, key="c:1")
    assert low_since(marked) is not None


def test_what_comes_back_from_a_hold_lifts(marked):
    """Available counts, so another's hold may make it low, and giving that back lifts it."""
    held = verbs.hold(account=marked, amount=700, key="h:1", kind="api", lease=LEASE)
    spend(marked, 1)
    assert low_since(marked) is not None
    verbs.release(hold=held.hold, key="r:1")
    assert low_since(marked) is None


def test_a_grant_lifts_only_above_the_mark(marked, fund):
    spend(marked, 900)
    first = low_since(marked)
    fund(marked, 299)
    assert low_since(marked) == first
    fund(marked, 1)
    assert low_since(marked) is None


def test_a_lifted_wallet_becomes_low_again(marked, fund):
    spend(marked, 900)
    first = low_since(marked)
    fund(marked, 900)
    spend(marked, 900, "s:2")
    assert low_since(marked) > first


def test_a_refund_lifts(marked):
    done = verbs.spend(account=marked, amount=900, key="s:1")
    verbs.refund(transfer=done.transfer, amount=500, key="r:1")
    assert low_since(marked) is None


def test_what_expires_makes_nothing_low_and_the_next_spending_does(marked, fund):
    spend(marked, 500)
    lot = fund(marked, 500, kind="allowance")
    spend(marked, 300, "s:2")  # from the allowance, which goes first
    make_due(lot.grant)
    marks.set_low_mark(account=marked, mark=550)
    spend(marked, 1, "s:3")
    assert low_since(marked) is not None

    fund(marked, 1000)
    lot = fund(marked, 1, kind="allowance")
    make_due(lot.grant)
    verbs.expire(account=marked)
    assert low_since(marked) is None


def test_nobody_is_low_by_expiry_alone(wallet, fund):
    lot = fund(wallet, 1000, kind="allowance")
    marks.set_low_mark(account=wallet, mark=400)
    make_due(lot.grant)
    verbs.expire(account=wallet)
    assert Account.objects.get(pk=wallet).posted == 0
    assert low_since(wallet) is None


def test_nobody_is_low_by_a_revocation_alone(marked, fund):
    lot = fund(marked, 1000)
    spend(marked, 500)
    verbs.revoke(grant=lot.grant, amount=1000, key="v:1")
    assert Account.objects.get(pk=marked).available < 1000
    assert low_since(marked) is None


def test_what_only_pays_a_debt_lifts_nothing(marked, fund):
    lot = fund(marked, 1000)
    spend(marked, 1900)
    first = low_since(marked)
    verbs.revoke(grant=lot.grant, amount=1000, key="v:1")
    assert Account.objects.get(pk=marked).owed == 900
    fund(marked, 1000)
    assert Account.objects.get(pk=marked).posted == 100
    assert low_since(marked) == first


def test_no_mark_no_low(wallet, fund):
    fund(wallet, 1000)
    spend(wallet, 1000)
    assert low_since(wallet) is None


def test_a_mark_set_above_what_there_is_counts_at_once_and_taking_it_away_clears(wallet, fund):
    fund(wallet, 1000)
    marks.set_low_mark(account=wallet, mark=1001)
    assert low_since(wallet) is not None
    marks.set_low_mark(account=wallet, mark=None)
    assert low_since(wallet) is None


def test_a_closed_wallet_has_no_mark(marked):
    spend(marked, 900)
    verbs.forfeit(account=marked)
    marks.set_low_mark(account=marked, mark=400)
    account = Account.objects.get(pk=marked)
    assert (account.low_mark, account.low_since) == (None, None)
