"""reconcile finds each kind of damage, and its line names it."""

import uuid

from ledger import verbs
from ledger.models import Grant, Transfer
from ledger.reconcile import reconcile
from tests.ledger.books import LEASE


def found():
    return sorted(reconcile().violations)


def test_a_changed_balance(spent, wallet, tamper):
    posted = verbs.expire(account=wallet).balance.posted
    tamper("UPDATE ledger_account SET posted = posted + 5 WHERE id = %s", wallet)

    assert found() == [
        f"wallet {wallet}: posted is {posted + 5}, its lots have {posted}",
        f"wallet {wallet}: posted is {posted + 5}, its transfers make {posted}",
    ]


def test_a_wrong_held(spent, wallet, tamper):
    tamper("UPDATE ledger_account SET held = held + 5 WHERE id = %s", wallet)

    assert found() == [f"wallet {wallet}: held is 55, its open holds have 50"]


def test_a_wrong_owed(spent, wallet, tamper, fund):
    rest = verbs.expire(account=wallet).balance.available
    verbs.spend(account=wallet, amount=rest, key="all")
    verbs.revoke(grant=Grant.objects.get(transfer__key="fund:1").pk, amount=20, key="back")
    (receivable,) = Transfer.objects.filter(kind="receivable").values_list("debit", flat=True)
    assert found() == []
    tamper("UPDATE ledger_account SET owed = owed - 5 WHERE id = %s", wallet)

    assert found() == [
        f"receivable {receivable}: its transfers make 20, wallet {wallet} owes 15",
        f"wallet {wallet}: owed is 15, what was revoked and settled makes 20",
    ]


def test_a_missing_capture(spent, wallet, tamper):
    refund = Transfer.objects.get(kind="refund").pk
    tamper("DELETE FROM ledger_transfer WHERE id = %s", spent.transfer)

    lines = found()
    assert f"hold {spent.hold}: captured is 200, and 0 captures moved 0" in lines
    assert "transfer None (None): took None, and 30 of it were refunded" in lines
    assert any(line.startswith(f"wallet {wallet}: posted is ") for line in lines)
    assert Transfer.objects.filter(pk=refund).exists()


def test_a_missing_grant(spent, wallet, tamper):
    lost = Grant.objects.get(transfer__key="fund:1")
    tamper("DELETE FROM ledger_transfer WHERE id = %s", lost.transfer_id)

    assert (
        f"lot {lost.pk}: 1000 in wallet {wallet}, where transfer {lost.transfer_id}"
        " did not put them"
    ) in found()


def test_a_wrong_lot(spent, wallet, tamper):
    lot = Grant.objects.get(transfer__key="fund:1")
    tamper("UPDATE ledger_grant SET remaining = remaining + 1 WHERE id = %s", lot.pk)

    posted = verbs.expire(account=wallet).balance.posted
    assert found() == [
        f"lot {lot.pk}: {lot.remaining + 1} of 1000 remain, though {1000 - lot.remaining} were"
        " drawn",
        f"wallet {wallet}: posted is {posted}, its lots have {posted + 1}",
    ]


def test_two_wrong_lots_that_make_up_for_each_other(spent, tamper):
    one, two = Grant.objects.filter(remaining__gt=0).order_by("id")[:2]
    tamper("UPDATE ledger_grant SET remaining = remaining - 1 WHERE id = %s", one.pk)
    tamper(
        "UPDATE ledger_grant SET remaining = remaining + 1, amount = amount + 1 WHERE id = %s",
        two.pk,
    )

    lines = found()
    assert any(line.startswith(f"lot {one.pk}: ") for line in lines)
    assert any(line.startswith(f"transfer {two.transfer_id} ") for line in lines)


def test_a_lot_of_the_wrong_size(spent, tamper):
    lot = Grant.objects.get(kind="refund")
    tamper("UPDATE ledger_grant SET amount = amount + 1 WHERE id = %s", lot.pk)

    assert (
        f"transfer {lot.transfer_id} (refund): granted 30, the lots it made in that wallet are 31"
    ) in found()


def test_a_wrong_revoked(spent, tamper):
    lot = Grant.objects.get(revoked=90)
    tamper("UPDATE ledger_grant SET revoked = 80 WHERE id = %s", lot.pk)

    assert found() == [f"lot {lot.pk}: revoked is 80 of 100, its transfers make 90"]


def test_a_wrong_lapsed(spent, tamper):
    lot = Grant.objects.get(kind="allowance")
    lapsed = lot.lapsed
    tamper("UPDATE ledger_grant SET lapsed = lapsed + 2 WHERE id = %s", lot.pk)

    assert found() == [f"lot {lot.pk}: lapsed is {lapsed + 2}, its transfers make {lapsed}"]


def copy_transfer(tamper, transfer, **changes):
    """Another transfer like one, with columns of its own."""
    columns = ["debit_id", "credit_id", "amount", "kind", "hold_id", "metadata", "reverses_id"]
    values = ", ".join(
        f"{changes[column]!r}" if column in changes else column for column in columns
    )
    tamper(
        f"INSERT INTO ledger_transfer (key, {', '.join(columns)})"
        f" SELECT 'copy', {values} FROM ledger_transfer WHERE id = %s",
        transfer,
    )
    return Transfer.objects.get(key="copy").pk


def test_a_double_capture(spent, wallet, tamper):
    copy_transfer(tamper, spent.transfer)

    lines = found()
    assert f"hold {spent.hold}: captured is 200, and 2 captures moved 400" in lines
    assert any(line.startswith(f"wallet {wallet}: posted is ") for line in lines)


def test_a_capture_of_another_amount(spent, tamper):
    tamper("UPDATE ledger_transfer SET amount = 199 WHERE id = %s", spent.transfer)

    lines = found()
    assert f"hold {spent.hold}: captured is 200, and 1 captures moved 199" in lines
    assert (
        f"transfer {spent.transfer} (capture): moved 199, drawn from its wallet's lots were 200"
    ) in lines


def test_a_capture_from_another_wallet(spent, wallet, make_wallet, tamper):
    other = make_wallet()
    tamper("UPDATE ledger_transfer SET debit_id = %s WHERE id = %s", other, spent.transfer)

    lines = found()
    assert f"hold {spent.hold}: captured is 200, and 0 captures moved 0" in lines
    assert (
        f"transfer {spent.transfer}: captured 200 from account {other}, where {spent.hold} is no"
        " captured hold"
    ) in lines


def test_a_capture_without_a_captured_hold(spent, wallet, tamper):
    held = verbs.hold(account=wallet, amount=1, key="h", kind="api", lease=LEASE).hold
    verbs.release(hold=held, key="r")
    nowhere = uuid.uuid4()
    copy = copy_transfer(tamper, spent.transfer, hold_id=str(held))
    line = f"transfer {copy}: captured 200 from account {wallet}, where %s is no captured hold"
    assert line % held in found()

    tamper("UPDATE ledger_transfer SET hold_id = %s WHERE id = %s", nowhere, copy)
    assert line % nowhere in found()


def test_a_stale_hold(spent, wallet, tamper):
    held = verbs.hold(account=wallet, amount=1, key="h", kind="api", lease=LEASE).hold
    lapse = "UPDATE ledger_hold SET lease_until = now() - interval '%s' WHERE id = %%s"
    tamper(lapse % "10 seconds", held)
    assert found() == []  # the sweeper is given three rounds

    tamper(lapse % "1 hour", held)
    assert found() == [
        f"hold {held}: open for 1 of account {wallet}, though its lease ran out 3600 s ago"
    ]


def test_too_much_refunded(spent, tamper):
    refund = Transfer.objects.get(kind="refund").pk
    copy_transfer(tamper, refund, amount=171)

    assert f"transfer {spent.transfer} (capture): took 200, and 201 of it were refunded" in found()


def test_a_transfer_to_nobody(spent, tamper):
    copy = copy_transfer(tamper, spent.transfer, credit_id=99, kind="write_off")

    assert f"transfer {copy}: moves 200, but there is no account 99" in found()


def test_a_hold_of_nobody(spent, tamper):
    held = uuid.uuid4()
    tamper(
        "INSERT INTO ledger_hold (id, account_id, kind, amount, state, ended, lease_until,"
        " metadata) VALUES (%s, 99, 'api', 5, 'released', now(), now(), '{}')",
        held,
    )
    assert found() == [f"hold {held}: of 5 on account 99, which is missing"]

    tamper("UPDATE ledger_hold SET account_id = 3 WHERE id = %s", held)
    assert found() == [f"hold {held}: of 5 on account 3, which is revenue"]


def test_a_balance_where_none_is_kept(spent, tamper):
    tamper("UPDATE ledger_account SET posted = 5 WHERE id = 3")

    assert found() == ["account 3 (revenue): keeps posted 5, held 0, owed 0; all should be 0"]


def test_a_frozen_wallet_that_could_have_paid(spent, wallet, tamper):
    available = verbs.expire(account=wallet).balance.available
    tamper("UPDATE ledger_account SET owed = 5 WHERE id = %s", wallet)

    assert (
        f"wallet {wallet}: owes 5 and has {available} available, which should have settled it"
    ) in found()
