"""Usage that arrives after the sweeper has ended its call: the difference is posted."""

import pytest

from ledger import verbs
from ledger.models import Grant, Transfer
from tests.ledger.books import LEASE, balance, total
from tests.usage.begun import begin, finish, let_lapse, months, paid, put_on_plan
from usage import sweep
from usage.models import Call

pytestmark = pytest.mark.usefixtures("proved")

SEEN = {"input": 10, "output": 5}


@pytest.fixture
def swept(user, wallet, fund):
    """Calls of 50, ended by the sweeper at a checkpoint of so much, or at none."""
    fund(wallet, 100)

    def swept(charge=None):
        call = begin(user=user).call
        let_lapse(call, None if charge is None else {"charge": charge, "cost": 3, "usage": SEEN})
        assert sweep.sweep() == 1
        assert paid(call) == ("swept", charge or 0, 0)
        return call

    return swept


def test_more(user, wallet, swept):
    call = swept(20)
    assert (balance(wallet), months(user)) == ((80, 0, 0), [(1, 10, 5, 20)])

    late = finish(call, 45)

    assert vars(late) == {"spent": 45, "returned": 5, "written_off": 0, "repeated": False}
    assert balance(wallet) == (55, 0, 0)
    assert paid(call) == ("completed", 45, 0)
    assert months(user) == [(1, 10, 20, 45)]
    more = Transfer.objects.get(kind="adjustment")
    assert (more.key, more.amount, more.hold_id) == (f"call:{call}:late", 25, call)
    record = Call.objects.get()
    assert (record.estimated, record.error, record.cost) == (False, "", 7)


def test_more_where_nothing_was_known(user, wallet, swept):
    call = swept()

    assert finish(call, 45).spent == 45

    assert balance(wallet) == (55, 0, 0)
    assert months(user) == [(1, 10, 20, 45)]


def test_less(user, wallet, swept):
    call = swept(40)

    late = finish(call, 15)

    assert vars(late) == {"spent": 15, "returned": 35, "written_off": 0, "repeated": False}
    assert balance(wallet) == (85, 0, 0)
    assert paid(call) == ("completed", 15, 0)
    assert Grant.objects.get(kind="refund").amount == 25
    assert months(user) == [(1, 10, 20, 15)]


def test_as_much(user, wallet, swept):
    call = swept(40)

    finish(call, 40)

    assert balance(wallet) == (60, 0, 0)
    assert paid(call) == ("completed", 40, 0)
    assert Transfer.objects.exclude(kind="purchase").count() == 1


def test_nothing(user, wallet, swept):
    call = swept(40)

    finish(call, 0, status="failed", usage=None)

    assert balance(wallet) == (100, 0, 0)
    assert paid(call) == ("failed", 0, 0)
    assert months(user) == [(0, 0, 0, 0)]


def test_more_than_there_is(user, wallet, swept):
    call = swept(20)
    verbs.hold(account=wallet, amount=70, key="h", kind="api", lease=LEASE)

    late = finish(call, 45)

    assert vars(late) == {"spent": 30, "returned": 20, "written_off": 15, "repeated": False}
    assert balance(wallet) == (70, 70, 0)
    assert paid(call) == ("completed", 30, 15)
    assert total("write_off") == -15


def test_less_than_was_written_off(user, wallet, swept):
    """What was written off comes back first: nobody paid it."""
    verbs.hold(account=wallet, amount=50, key="h", kind="api", lease=LEASE)
    call = begin(user=user).call
    let_lapse(call, {"charge": 70})
    sweep.sweep()
    assert paid(call) == ("swept", 50, 20)

    finish(call, 60)
    assert paid(call) == ("completed", 50, 10)
    assert balance(wallet) == (50, 50, 0)
    assert (total("revenue"), total("write_off")) == (60, -10)


def test_less_than_was_written_off_and_taken(user, wallet, swept):
    verbs.hold(account=wallet, amount=50, key="h", kind="api", lease=LEASE)
    call = begin(user=user).call
    let_lapse(call, {"charge": 70})
    sweep.sweep()

    finish(call, 30)

    assert paid(call) == ("completed", 30, 0)
    assert balance(wallet) == (70, 50, 0)
    assert (total("revenue"), total("write_off")) == (30, 0)


def test_a_frozen_wallet_pays_no_more(user, wallet, swept, fund):
    call = swept(20)
    verbs.spend(account=wallet, amount=80, key="s")
    verbs.revoke(grant=Grant.objects.get().pk, amount=100, key="revoke")

    late = finish(call, 45)

    assert (late.spent, late.written_off) == (20, 25)
    assert balance(wallet) == (0, 0, 100)


def test_only_once(wallet, swept):
    call = swept(20)
    first = finish(call, 45)

    again = finish(call, 30)

    assert vars(again) == vars(first) | {"repeated": True}
    assert balance(wallet) == (55, 0, 0)


def test_what_the_operator_gave_back_meanwhile_is_not_given_twice(wallet, swept):
    call = swept(40)
    capture = Transfer.objects.get(kind="capture").pk
    verbs.refund(transfer=capture, amount=35, key="kindness")
    assert balance(wallet) == (95, 0, 0)

    late = finish(call, 10)

    assert late.spent == 35  # of 30 too many, 5 were left to give back
    assert balance(wallet) == (100, 0, 0)


def test_a_refund_after_the_late_finish_leaves_the_record(wallet, swept):
    call = swept(40)
    finish(call, 15)
    capture = Transfer.objects.get(kind="capture").pk

    verbs.refund(transfer=capture, amount=15, key="kindness")

    assert paid(call) == ("completed", 15, 0)
    assert balance(wallet) == (100, 0, 0)


def test_inside_a_quota_late_usage_costs_nothing_still(user, wallet, fund):
    fund(wallet, 100)
    put_on_plan(user, metering="quota", quota_requests=5)
    call = begin(user=user).call
    let_lapse(call, {"charge": 30, "usage": SEEN})
    sweep.sweep()
    assert paid(call) == ("swept", 0, 0)

    finish(call, 60)

    assert balance(wallet) == (100, 0, 0)
    assert months(user) == [(1, 10, 20, 0)]
