"""The sweeper of paid calls: paid to the last checkpoint, recorded, counted."""

import threading

import pytest

from ledger import verbs
from ledger.models import Hold
from tests.ledger.books import LEASE, balance, query
from tests.racing import at_once
from tests.usage.begun import begin, finish, let_lapse, months, paid, put_on_plan
from usage import sweep, tasks
from usage.models import Call

pytestmark = pytest.mark.usefixtures("proved")

KNOWN = {"charge": 30, "cost": 9, "usage": {"input": 10, "output": 8}}


@pytest.fixture
def call(user, wallet, fund):
    fund(wallet, 10_000)
    put_on_plan(user)
    return begin(user=user).call


def test_with_a_checkpoint_it_is_paid_and_recorded(user, wallet, call):
    let_lapse(call, KNOWN)

    assert sweep.sweep() == 1

    assert balance(wallet) == (9970, 0, 0)
    record = Call.objects.get()
    assert (record.id, record.status, record.spent, record.cost) == (call, "swept", 30, 9)
    assert (record.estimated, record.error) == (True, "the process ended")
    assert (record.input_tokens, record.output_tokens) == (10, 8)
    assert months(user) == [(1, 10, 8, 30)]


def test_without_one_it_is_released_and_recorded(user, wallet, call):
    let_lapse(call)

    assert sweep.sweep() == 1

    assert balance(wallet) == (10_000, 0, 0)
    assert Hold.objects.get(pk=call).state == "released"
    assert paid(call) == ("swept", 0, 0)
    assert months(user) == [(1, 0, 0, 0)]


def test_a_live_lease_is_not_touched(wallet, call):
    assert sweep.sweep() == 0

    assert balance(wallet) == (10_000, 50, 0)
    assert not Call.objects.exists()


def test_a_finished_call_is_not_swept(call):
    finish(call, 5)

    assert sweep.sweep() == 0
    assert paid(call) == ("completed", 5, 0)


def test_a_call_of_a_deleted_user_ends(user, wallet, call):
    let_lapse(call, KNOWN)
    user.delete()

    assert sweep.sweep() == 1

    assert balance(wallet) == (9970, 0, 0)


def test_a_call_that_cannot_end_keeps_no_other_waiting(user, call):
    bad = begin(user=user).call
    let_lapse(call, KNOWN)
    let_lapse(bad, {"charge": "?"})

    assert sweep.sweep() == 1

    assert paid(call) == ("swept", 30, 0)
    let_lapse(bad)
    assert sweep.sweep() == 1


def test_two_sweepers_and_finishes_at_once_end_each_call_once(user, wallet, call, connect):
    started = [call] + [begin(user=user).call for _ in range(39)]
    for one in started:
        let_lapse(one, KNOWN)

    def sweeper():
        conn = connect()

        def run():
            swept = 0
            while conn.execute("SELECT usage_sweep_one()").fetchone()[0]:
                swept += 1
            return swept

        return run

    def finisher(mine):
        conn = connect()
        return lambda: sum(not finish(one, 45, conn=conn).repeated for one in mine)

    ended = at_once([sweeper(), sweeper(), finisher(started[::-1]), finisher(started)])

    # A finish after a sweep sets it right, so that in the end every call is paid by its finish.
    assert ended[2] + ended[3] == 40
    assert ended[0] + ended[1] <= 40
    assert balance(wallet) == (10_000 - 40 * 45, 0, 0)
    assert set(Call.objects.values_list("status", "spent")) == {("completed", 45)}
    assert months(user) == [(40, 400, 800, 1800)]


def test_a_lease_that_is_renewed_while_the_sweeper_looks_holds(call, connect):
    """The row is locked, then looked at again: the sweeper must not trust its first look."""
    let_lapse(call, KNOWN)
    renewing, sweeping = connect(autocommit=False), connect()
    renewing.execute(
        "UPDATE ledger_hold SET lease_until = now() + interval '1 minute' WHERE id = %s", [call]
    )
    answers = []
    sweeper = threading.Thread(
        target=lambda: answers.append(sweeping.execute("SELECT usage_sweep_one()").fetchone())
    )
    sweeper.start()
    sweeper.join(timeout=30)
    renewing.commit()

    assert answers == [(None,)]
    assert sweeping.execute("SELECT usage_sweep_one()").fetchone() == (None,)


def test_the_task_ends_calls_and_all_other_holds(user, wallet, call):
    verbs.hold(account=wallet, amount=5, key="h", kind="job", lease=LEASE)
    query("UPDATE ledger_hold SET lease_until = '2020-01-01'")

    assert tasks.sweep() == 2

    assert balance(wallet) == (10_000, 0, 0)
