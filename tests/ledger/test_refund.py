"""refund: credits back for one capture, at most what it took."""

from datetime import UTC, datetime, timedelta

import pytest

from common.errors import BadInput, NotFound
from ledger import verbs
from ledger.models import Grant, Transfer
from tests.ledger.books import balance, lots, make_due, total

pytestmark = pytest.mark.usefixtures("proved")


def test_a_refund_comes_back_as_a_lot(wallet, fund):
    fund(wallet, 100)
    spent = verbs.spend(account=wallet, amount=100, key="spend")

    back = verbs.refund(transfer=spent.transfer, amount=30, key="refund", metadata={"by": "me"})

    assert back.amount == 30
    assert back.balance.posted == 30
    assert lots(wallet) == [("refund", 30)]
    assert total("revenue") == 70
    transfer = Transfer.objects.get(pk=back.transfer)
    assert (transfer.reverses_id, transfer.hold_id) == (spent.transfer, spent.hold)
    assert transfer.metadata == {"by": "me"}


def test_lots_come_back_in_reverse_of_the_order_they_were_drawn_in(wallet):
    until = datetime.now(UTC) + timedelta(days=90)
    verbs.grant(account=wallet, amount=10, kind="allowance", key="a", expires_at=until)
    verbs.grant(account=wallet, amount=20, kind="promotion", key="b")
    verbs.grant(account=wallet, amount=40, kind="purchase", key="c")
    spent = verbs.spend(account=wallet, amount=65, key="spend").transfer

    for number, amount in enumerate((30, 10, 25)):
        verbs.refund(transfer=spent, amount=amount, key=f"refund:{number}")

    back = Grant.objects.filter(kind="refund").order_by("id")
    assert list(back.values_list("transfer__key", "priority", "remaining")) == [
        ("refund:0", 30, 30),  # of the 35 drawn last, from what was bought
        ("refund:1", 30, 5),
        ("refund:1", 20, 5),
        ("refund:2", 20, 15),
        ("refund:2", 10, 10),
    ]
    assert {lot.expires_at for lot in back if lot.priority == 10} == {until}
    assert {lot.expires_at for lot in back if lot.priority != 10} == {None}


def test_a_lot_that_is_due_comes_back_with_thirty_days(wallet, fund):
    grant = fund(wallet, 10, expires_at=datetime.now(UTC) + timedelta(hours=1)).grant
    spent = verbs.spend(account=wallet, amount=10, key="spend").transfer
    make_due(grant)

    verbs.refund(transfer=spent, amount=10, key="refund")

    date = Grant.objects.get(kind="refund").expires_at
    assert date is not None
    left = date - datetime.now(UTC)
    assert timedelta(days=29, hours=23) < left <= timedelta(days=30)
    assert balance(wallet) == (10, 0, 0)


def test_all_refunds_together_are_at_most_the_capture(wallet, fund):
    fund(wallet, 100)
    spent = verbs.spend(account=wallet, amount=100, key="spend").transfer
    verbs.refund(transfer=spent, amount=60, key="first")

    with pytest.raises(BadInput, match=r"0\.000040 credits are left"):
        verbs.refund(transfer=spent, amount=41, key="second")
    verbs.refund(transfer=spent, amount=40, key="second")
    with pytest.raises(BadInput, match=r"0\.000000 credits are left"):
        verbs.refund(transfer=spent, amount=1, key="third")

    assert balance(wallet) == (100, 0, 0)


@pytest.mark.parametrize("amount", [0, -1, None])
def test_an_amount_that_cannot_be_is_refused(wallet, fund, amount):
    fund(wallet, 10)
    spent = verbs.spend(account=wallet, amount=10, key="spend").transfer

    with pytest.raises(BadInput):
        verbs.refund(transfer=spent, amount=amount, key="refund")


def test_only_a_capture_is_refunded(wallet, fund):
    bought = fund(wallet, 10).transfer
    spent = verbs.spend(account=wallet, amount=10, key="spend").transfer
    back = verbs.refund(transfer=spent, amount=10, key="refund").transfer

    for transfer in (bought, back, 987_654_321):
        with pytest.raises(NotFound):
            verbs.refund(transfer=transfer, amount=1, key="another")


def test_a_refund_can_be_spent_and_refunded_again(wallet, fund):
    fund(wallet, 10)
    first = verbs.spend(account=wallet, amount=10, key="spend 1").transfer
    verbs.refund(transfer=first, amount=10, key="refund 1")
    second = verbs.spend(account=wallet, amount=10, key="spend 2").transfer
    verbs.refund(transfer=second, amount=10, key="refund 2")

    assert lots(wallet) == [("refund", 10)]
    assert total("revenue") == 0
