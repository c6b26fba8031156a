"""A paid call that makes the wallet low says so, once however many cross at the same moment."""

from functools import partial

import pytest
from django.db import connection

from ledger import marks
from ledger.models import Account
from tests.racing import at_once
from tests.usage.begun import begin, finish, let_lapse, put_on_plan
from usage import calls, sweep
from usage.prices import Usage

pytestmark = pytest.mark.usefixtures("proved")

CROSSING = 500
THREADS = 25


def crossed(call, charge: int) -> bool:
    return calls.finish(
        call=call, status="completed", charge=charge, cost=0, usage=Usage(), estimated=False
    ).crossed


def low_since(wallet):
    return Account.objects.get(pk=wallet).low_since


def test_the_finish_that_crosses_says_so_and_no_other(user, wallet, fund):
    fund(wallet, 1000)
    marks.set_low_mark(account=wallet, mark=960)
    first, second, third = (begin(user=user).call for _ in range(3))
    assert [crossed(first, 1), crossed(second, 39), crossed(third, 50)] == [True, False, False]
    assert low_since(wallet) is not None


def test_a_repeated_finish_crosses_nothing(user, wallet, fund):
    fund(wallet, 100)
    marks.set_low_mark(account=wallet, mark=90)
    call = begin(user=user).call
    assert crossed(call, 50)
    assert not crossed(call, 50)


def test_without_a_mark_nothing_is_crossed(user, wallet, fund):
    fund(wallet, 50)
    assert not crossed(begin(user=user).call, 50)


def test_usage_that_comes_after_the_sweeper_makes_low_too(user, wallet, fund):
    fund(wallet, 100)
    marks.set_low_mark(account=wallet, mark=90)
    call = begin(user=user).call
    let_lapse(call)
    sweep.sweep()
    assert low_since(wallet) is None
    finish(call, 40)
    assert low_since(wallet) is not None


def test_a_call_that_is_refused_for_want_of_credits_makes_low(user, wallet, fund):
    """Credits that expired made nobody low; somebody who wants some is."""
    fund(wallet, 20)
    Account.objects.filter(pk=wallet).update(low_mark=40)
    assert begin(user=user).outcome == "insufficient"
    first = low_since(wallet)
    assert first is not None
    assert begin(user=user).outcome == "insufficient"
    assert low_since(wallet) == first


def test_a_refusal_above_the_mark_makes_nothing_low(user, wallet, fund):
    fund(wallet, 45)
    marks.set_low_mark(account=wallet, mark=40)
    assert begin(user=user).outcome == "insufficient"
    assert low_since(wallet) is None


# What finish would tell without the compare of low_since under the wallet's lock: whether less
# than the mark is there afterwards.
NAIVE = """
CREATE FUNCTION naive_finish(p_call uuid, OUT crossed boolean) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM usage_finish(p_call, 'completed', 1, 0, '{}'::jsonb, false, '', NULL);
    SELECT a.posted - a.held < a.low_mark INTO crossed
        FROM ledger_account a JOIN ledger_hold h ON h.account_id = a.id WHERE h.id = p_call;
END $$
"""


FINISH = """
SELECT crossed FROM usage_finish(%(call)s, 'completed', 1, 0, '{}'::jsonb, false, '', NULL)
"""


def race(user, wallet, fund, connect, sql: str) -> int:
    """500 calls end at once, each costs 1; how many say that they crossed the mark."""
    put_on_plan(user)
    fund(wallet, 50 * CROSSING)
    marks.set_low_mark(account=wallet, mark=50 * CROSSING - CROSSING // 2)
    open_calls = [begin(user=user).call for _ in range(CROSSING)]
    conns = [connect() for _ in range(THREADS)]

    def work(number: int) -> int:
        said = 0
        for call in open_calls[number::THREADS]:
            row = conns[number].execute(sql, {"call": call}).fetchone()
            said += row[0]
        return said

    return sum(at_once([partial(work, number) for number in range(THREADS)]))


def test_of_500_finishes_at_once_one_crosses(user, wallet, fund, connect):
    said = race(user, wallet, fund, connect, FINISH)
    assert said == 1
    assert Account.objects.get(pk=wallet).posted == 49 * CROSSING


def test_without_the_compare_many_would(user, wallet, fund, connect):
    """The control."""
    with connection.cursor() as cursor:
        cursor.execute(NAIVE)
    try:
        said = race(user, wallet, fund, connect, "SELECT naive_finish(%(call)s)")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION naive_finish(uuid)")
    assert said > 1
