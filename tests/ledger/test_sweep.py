"""The sweeper: a hold whose lease ran out ends, once."""

import pytest

from common.errors import AlreadyEnded
from ledger import sweep, tasks, verbs
from ledger.models import Hold, Transfer
from tests.ledger.books import LEASE, balance
from tests.racing import at_once

pytestmark = pytest.mark.usefixtures("proved")


@pytest.fixture
def hold(wallet, fund):
    """Places a hold of 40 on a wallet of 1,000 more."""

    def hold(key="hold"):
        fund(wallet, 1000)
        return verbs.hold(account=wallet, amount=40, key=key, kind="job", lease=LEASE).hold

    return hold


def let_lapse(*holds, checkpoint=None):
    Hold.objects.filter(pk__in=holds).update(
        lease_until="2020-01-01T00:00:00Z", checkpoint=checkpoint
    )


def test_without_a_checkpoint_it_is_released(wallet, hold):
    held = hold()
    let_lapse(held)

    assert sweep.sweep() == 1

    assert Hold.objects.get(pk=held).state == "released"
    assert balance(wallet) == (1000, 0, 0)


def test_with_a_checkpoint_it_is_captured_at_its_charge(wallet, hold):
    held = hold()
    let_lapse(held, checkpoint={"charge": 15, "cost": 3})

    assert sweep.sweep() == 1

    assert balance(wallet) == (985, 0, 0)
    transfer = Transfer.objects.get(kind="capture")
    assert (transfer.hold_id, transfer.amount) == (held, 15)
    assert transfer.key == f"hold:{held}:sweep"


def test_a_live_lease_is_not_touched(wallet, hold):
    held = hold()

    assert sweep.sweep() == 0

    assert Hold.objects.get(pk=held).state == "open"
    assert balance(wallet) == (1000, 40, 0)


def test_a_swept_hold_has_ended(wallet, hold):
    held = hold()
    let_lapse(held, checkpoint={"charge": 15})
    sweep.sweep()

    with pytest.raises(AlreadyEnded):
        verbs.capture(hold=held, amount=20, key="capture")

    assert sweep.sweep() == 0
    assert balance(wallet) == (985, 0, 0)


def test_two_sweepers_at_once_end_each_hold_once(wallet, hold, connect):
    holds = [hold(f"hold:{number}") for number in range(40)]
    let_lapse(*holds, checkpoint={"charge": 1})

    def sweeper():
        conn = connect()

        def sweep_all():
            ended = []
            while (row := conn.execute("SELECT ledger_sweep_one()").fetchone())[0]:
                ended.append(row[0])
            return ended

        return sweep_all

    ended = at_once([sweeper(), sweeper()])

    assert sorted(ended[0] + ended[1]) == sorted(holds)
    assert balance(wallet) == (40_000 - 40, 0, 0)


def test_somebody_elses_hold_is_not_waited_for(wallet, hold, connect):
    held, taken = hold("one"), hold("two")
    let_lapse(held, taken)
    other = connect(autocommit=False)
    other.execute("SELECT FROM ledger_hold WHERE id = %s FOR UPDATE", [taken])

    assert sweep.sweep() == 1

    assert Hold.objects.get(pk=held).state == "released"
    other.rollback()
    assert sweep.sweep() == 1


def test_a_hold_that_cannot_end_keeps_no_other_waiting(wallet, hold):
    bad, good = hold("bad"), hold("good")
    let_lapse(bad, good)
    Hold.objects.filter(pk=bad).update(checkpoint={"charge": "?"})

    assert sweep.sweep() == 1

    assert Hold.objects.get(pk=good).state == "released"
    assert Hold.objects.get(pk=bad).state == "open"
    let_lapse(bad, checkpoint={"charge": -1})
    assert sweep.sweep() == 0
    let_lapse(bad)
    assert sweep.sweep() == 1


def test_paid_calls_are_left_to_usage(wallet, hold):
    held = hold()
    Hold.objects.filter(pk=held).update(kind="call")
    let_lapse(held)

    assert sweep.sweep() == 0

    Hold.objects.filter(pk=held).update(kind="job")
    assert sweep.sweep() == 1


def test_the_tasks_do_it(wallet, hold, fund):
    assert tasks.expire_lots() == 0
    assert tasks.reconcile() == 0
