"""reconcile knows calls and months too, and names each kind of damage."""

import uuid

import pytest
from django.db.models import RestrictedError

from accounts.keys import digest
from ledger import verbs
from ledger.models import Transfer
from ledger.reconcile import reconcile
from tests.ledger.books import LEASE, query
from tests.usage.begun import begin, finish, let_lapse, put_on_plan
from usage import sweep
from usage.models import Call, MonthlyUsage


@pytest.fixture
def calls(user, wallet, fund, api_key):
    """Calls that ended in every way, and one that is open; by two keys."""
    fund(wallet, 1000)
    put_on_plan(user)
    known = digest(api_key.secret)
    begin(user=user)
    paid, failed, late, swept = [begin(digest=known).call for _ in range(4)]
    finish(paid, 40)
    finish(failed, 0, status="failed", usage=None)
    for call in (late, swept):
        let_lapse(call, {"charge": 30})
    sweep.sweep()
    finish(late, 20)
    verbs.refund(transfer=Transfer.objects.get(key=f"call:{paid}").pk, amount=40, key="kindness")
    rest = verbs.expire(account=wallet).balance.available
    verbs.hold(account=wallet, amount=rest, key="rest", kind="api", lease=LEASE)
    over = begin(user=user, input_units=0, output_rate=0).call
    finish(over, 11)
    assert reconcile().violations == []
    return {"paid": paid, "late": late, "swept": swept, "over": over}


def found():
    return sorted(reconcile().violations)


def test_it_counts_them(calls):
    counts = reconcile().counts

    assert (counts["calls"], counts["months"]) == (5, 2)


def test_a_wrong_call_record(calls, user, api_key):
    paid = calls["paid"]
    Call.objects.filter(pk=paid).update(spent=41)

    assert found() == [
        f"call {paid}: spent is 41, its transfers make 40",
        f"month {month()} of user {user.pk}, key {api_key.key.pk}: kept are 3 requests,"
        " 20 + 40 tokens, 90 spent; its calls make 3 requests, 20 + 40 tokens, 91 spent",
    ]


def month():
    return MonthlyUsage.objects.values_list("month", flat=True)[0]


def test_a_wrong_write_off(calls):
    Call.objects.filter(pk=calls["over"]).update(written_off=10)

    assert found() == [f"call {calls['over']}: written off is 10, its transfers make 11"]


def test_a_wrong_held(calls):
    Call.objects.filter(pk=calls["paid"]).update(held=49)

    assert found() == [f"call {calls['paid']}: held is 49, its hold was 50"]


def test_a_missing_record(calls):
    Call.objects.filter(pk=calls["late"]).delete()

    assert f"call {calls['late']}: its hold is captured, its record is missing" in found()


def test_a_record_of_nothing(calls, user):
    call = Call.objects.get(pk=calls["swept"])
    call.pk = uuid.uuid4()
    call.save(force_insert=True)

    assert f"call {call.pk}: its hold is missing, its record is swept" in found()


def test_a_record_of_a_call_that_is_open(calls, user):
    ((open_call,),) = query("SELECT id FROM ledger_hold WHERE state = 'open' AND kind = 'call'")
    call = Call.objects.get(pk=calls["swept"])
    call.pk = open_call
    call.save(force_insert=True)

    assert f"call {open_call}: its hold is open, its record is swept" in found()


@pytest.mark.parametrize("column", ["requests", "input_tokens", "output_tokens", "spent"])
def test_a_wrong_month(calls, user, column):
    row = MonthlyUsage.objects.get(user=user, api_key=None)
    setattr(row, column, getattr(row, column) + 1)
    row.save()

    (line,) = found()
    assert line.startswith(f"month {row.month} of user {user.pk}, key none: kept are ")
    assert line.endswith("its calls make 2 requests, 10 + 20 tokens, 0 spent")


def test_a_missing_month(calls, user, api_key):
    MonthlyUsage.objects.filter(api_key=api_key.key).delete()

    assert found() == [
        f"month {month()} of user {user.pk}, key {api_key.key.pk}: kept are nothing; its calls"
        " make 3 requests, 20 + 40 tokens, 90 spent"
    ]


def test_a_month_of_nothing(calls, user):
    MonthlyUsage.objects.create(
        user=user, month="2020-01", requests=1, input_tokens=0, output_tokens=0, spent=0
    )

    assert found() == [
        f"month 2020-01 of user {user.pk}, key none: kept are 1 requests, 0 + 0 tokens, 0 spent;"
        " its calls make nothing"
    ]


def test_a_used_key_is_not_deleted_alone_but_goes_with_its_user(calls, user, api_key):
    with pytest.raises(RestrictedError):
        api_key.key.delete()
    user.delete()

    assert found() == []
