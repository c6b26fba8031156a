"""capture, release, spend: how a hold ends."""

import uuid

import pytest

from common.errors import AlreadyEnded, BadInput, InsufficientCredits, NotFound, WalletFrozen
from ledger import verbs
from ledger.models import Hold, Transfer
from tests.ledger.books import LEASE, balance, lots, total

pytestmark = pytest.mark.usefixtures("proved")


@pytest.fixture
def held(wallet, fund):
    """A hold of 40 on a wallet of 100."""
    fund(wallet, 100)
    return verbs.hold(account=wallet, amount=40, key="hold", kind="api", lease=LEASE).hold


def test_a_capture_takes_its_amount_and_gives_the_rest_back(wallet, held):
    taken = verbs.capture(hold=held, amount=25, key="capture", metadata={"why": "work"})

    assert (taken.amount, taken.returned, taken.written_off) == (25, 15, 0)
    assert taken.balance == verbs.Balance(posted=75, held=0, available=75, owed=0)
    assert taken.transfer is not None
    assert balance(wallet) == (75, 0, 0)
    assert lots(wallet) == [("purchase", 75)]
    assert total("revenue") == 25
    transfer = Transfer.objects.get(pk=taken.transfer)
    assert (transfer.debit_id, transfer.amount, transfer.hold_id) == (wallet, 25, held)
    assert transfer.metadata["why"] == "work"
    row = Hold.objects.get(pk=held)
    assert (row.state, row.captured) == ("captured", 25)
    assert row.ended is not None


def test_past_the_hold_a_capture_takes_what_else_is_available(wallet, held):
    taken = verbs.capture(hold=held, amount=90, key="capture")

    assert (taken.amount, taken.returned, taken.written_off) == (90, 0, 0)
    assert balance(wallet) == (10, 0, 0)


def test_what_the_wallet_cannot_cover_is_written_off(wallet, held):
    verbs.hold(account=wallet, amount=50, key="another", kind="api", lease=LEASE)

    taken = verbs.capture(hold=held, amount=65, key="capture")

    assert (taken.amount, taken.returned, taken.written_off) == (50, 0, 15)
    assert balance(wallet) == (50, 50, 0)
    assert (total("revenue"), total("write_off")) == (65, -15)


def test_a_capture_of_nothing_releases(wallet, held):
    taken = verbs.capture(hold=held, amount=0, key="capture")

    assert (taken.amount, taken.returned, taken.transfer) == (0, 40, None)
    assert balance(wallet) == (100, 0, 0)
    assert Hold.objects.get(pk=held).state == "released"


def test_a_release_gives_the_hold_back_whole(wallet, held):
    back = verbs.release(hold=held, key="release")

    assert back.returned == 40
    assert balance(wallet) == (100, 0, 0)
    assert Hold.objects.get(pk=held).state == "released"
    assert total("revenue") == 0


@pytest.mark.parametrize("end", ["capture", "release"])
def test_an_ended_hold_is_neither_captured_nor_released(wallet, held, end):
    if end == "capture":
        verbs.capture(hold=held, amount=25, key="first")
    else:
        verbs.release(hold=held, key="first")
    before = balance(wallet)

    with pytest.raises(AlreadyEnded, match=f"was {end}d already"):
        verbs.capture(hold=held, amount=1, key="second")
    with pytest.raises(AlreadyEnded, match=f"was {end}d already"):
        verbs.release(hold=held, key="third")

    assert balance(wallet) == before


@pytest.mark.parametrize("amount", [-1, 2**53 + 1, None])
def test_an_amount_that_cannot_be_is_refused(wallet, held, amount):
    with pytest.raises(BadInput):
        verbs.capture(hold=held, amount=amount, key="capture")

    assert balance(wallet) == (100, 40, 0)


def test_a_hold_that_is_not_there_cannot_end(clean_books):
    with pytest.raises(NotFound):
        verbs.capture(hold=uuid.uuid4(), amount=1, key="capture")
    with pytest.raises(NotFound):
        verbs.release(hold=uuid.uuid4(), key="release")


def test_a_spend_is_a_hold_and_its_capture(wallet, fund):
    fund(wallet, 100)

    spent = verbs.spend(account=wallet, amount=60, key="spend")

    assert spent.amount == 60
    assert spent.balance == verbs.Balance(posted=40, held=0, available=40, owed=0)
    row = Hold.objects.get(pk=spent.hold)
    assert (row.state, row.amount, row.captured) == ("captured", 60, 60)
    assert Transfer.objects.get(pk=spent.transfer).hold_id == row.id


def test_a_spend_takes_all_or_nothing(wallet, held):
    with pytest.raises(InsufficientCredits, match=r"0\.000061 .* needed and 0\.000060"):
        verbs.spend(account=wallet, amount=61, key="spend")

    assert balance(wallet) == (100, 40, 0)
    assert verbs.spend(account=wallet, amount=60, key="spend").balance.available == 0


def test_a_spend_may_have_a_key_of_the_full_length(wallet, fund):
    fund(wallet, 1)

    assert verbs.spend(account=wallet, amount=1, key="k" * 200).amount == 1


def test_a_frozen_wallet_spends_nothing(wallet, fund):
    grant = fund(wallet, 100).grant
    verbs.spend(account=wallet, amount=100, key="spend")
    verbs.revoke(grant=grant, amount=100, key="revoke")

    with pytest.raises(WalletFrozen):
        verbs.spend(account=wallet, amount=1, key="more")
