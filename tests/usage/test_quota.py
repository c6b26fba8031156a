"""Plans that meter by a monthly quota: inside it a call costs no credits."""

import pytest

from ledger.models import Hold
from tests.ledger.books import balance
from tests.usage.begun import begin, finish, months, paid, put_on_plan
from usage.models import Call

pytestmark = pytest.mark.usefixtures("proved")

USED = {"input": 8, "output": 12}


def test_inside_the_quota_nothing_is_held_or_taken(user, wallet, fund):
    fund(wallet, 1000)
    put_on_plan(user, metering="quota", quota_requests=10)

    begun = begin(user=user)
    assert (begun.outcome, begun.held) == ("ok", 0)
    finished = finish(begun.call, 40, usage=USED)

    assert (finished.spent, finished.returned, finished.written_off) == (0, 0, 0)
    assert balance(wallet) == (1000, 0, 0)
    assert months(user) == [(1, 8, 12, 0)]
    record = Call.objects.get()
    assert (record.by_quota, record.cost) == (True, 7)


def test_requests(user):
    put_on_plan(user, metering="quota", quota_requests=3)
    calls = [begin(user=user).call for _ in range(3)]

    assert begin(user=user).outcome == "quota"

    finish(calls[0], 0)
    assert begin(user=user).outcome == "quota"
    finish(calls[1], 0, status="failed")  # nothing was delivered, so it does not count
    assert begin(user=user).outcome == "ok"
    assert months(user)[0][0] == 3


def test_tokens_of_open_calls_are_set_aside(user):
    put_on_plan(user, metering="quota", quota_tokens=90)

    first = begin(user=user)  # 10 in and 20 out at most
    second = begin(user=user)
    third = begin(user=user)
    assert [call.outcome for call in (first, second, third)] == ["ok"] * 3
    assert Hold.objects.get(pk=first.call).metadata["tokens"] == 30
    assert begin(user=user).outcome == "quota"

    finish(first.call, 0, usage=USED)  # used 20 of its 30
    assert begin(user=user).outcome == "quota"
    finish(second.call, 0, usage=USED)
    assert begin(user=user, output_tokens=10).outcome == "ok"
    assert begin(user=user, output_tokens=1).outcome == "quota"


@pytest.mark.parametrize("choices", [1, 2, 3])
def test_an_open_bound_is_clamped_to_the_tokens_left(user, choices):
    put_on_plan(user, metering="quota", quota_tokens=10 + 8 * choices)

    begun = begin(user=user, exact=False, choices=choices)

    assert (begun.outcome, begun.output_tokens) == ("ok", 8)


@pytest.mark.parametrize("choices", [1, 2])
def test_a_used_up_quota_lets_nothing_by(user, choices):
    """Not even a call with no output: half of minus one is not zero."""
    put_on_plan(user, metering="quota", quota_tokens=9)

    assert begin(user=user, output_tokens=0, choices=choices).outcome == "quota"


def test_past_the_quota_credits_pay(user, wallet, fund):
    fund(wallet, 80)
    put_on_plan(user, metering="quota_then_credits", quota_requests=1)

    free, paying = begin(user=user), begin(user=user)
    assert (free.held, paying.held) == (0, 50)
    assert begin(user=user).outcome == "insufficient"
    finish(free.call, 30)
    finish(paying.call, 30)

    assert (paid(free.call)[1], paid(paying.call)[1]) == (0, 30)
    assert balance(wallet) == (50, 0, 0)


def test_a_plan_by_credits_has_no_quota(user, wallet, fund):
    fund(wallet, 1000)
    put_on_plan(user, metering="credits", quota_requests=1, quota_tokens=1)

    assert [begin(user=user).held for _ in range(2)] == [50, 50]
