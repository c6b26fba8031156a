"""Limits are exact under concurrency; each control breaks one by leaving the wallet's lock out."""

import collections
import itertools

import pytest

from accounts.keys import digest
from accounts.verbs import issue_key
from tests.ledger.books import balance, query
from tests.racing import at_once
from tests.usage.begun import begin, finish, months, put_on_plan

pytestmark = pytest.mark.usefixtures("proved")

RACERS = 10


@pytest.fixture
def outcomes(connect):
    """Begins ``times`` calls in each of ten sessions at once; how often each outcome came."""

    def outcomes(times=5, **call):
        def racer():
            conn = connect()
            return lambda: [begin(conn=conn, **call).outcome for _ in range(times)]

        answers = at_once([racer() for _ in range(RACERS)])
        return collections.Counter(itertools.chain.from_iterable(answers))

    return outcomes


def test_requests_a_minute(user, wallet, fund, outcomes):
    fund(wallet, 10_000)
    put_on_plan(user, requests_per_minute=7)

    assert outcomes(user=user) == {"ok": 7, "rate_limited": 43}
    assert months(user) == [(7, 0, 0, 0)]


def test_control_requests_a_minute(user, wallet, fund, outcomes, unlocked):
    fund(wallet, 10_000)
    put_on_plan(user, requests_per_minute=7)

    unlocked(RACERS)
    assert outcomes(times=1, user=user)["ok"] > 7


def test_requests_are_refilled_evenly(user, wallet, fund):
    fund(wallet, 10_000)
    put_on_plan(user, requests_per_minute=6)
    for _ in range(6):
        assert begin(user=user).outcome == "ok"

    refused = begin(user=user)
    assert (refused.outcome, refused.detail) == ("rate_limited", 10)

    query("UPDATE ledger_account SET rate_tat = rate_tat - interval '10 s' WHERE id = %s", wallet)
    assert [begin(user=user).outcome for _ in range(2)] == ["ok", "rate_limited"]
    query("UPDATE ledger_account SET rate_tat = rate_tat - interval '9 hours'")
    assert [begin(user=user).outcome for _ in range(7)] == ["ok"] * 6 + ["rate_limited"]


def test_a_refused_call_uses_up_no_rate(user, wallet, fund):
    fund(wallet, 50)
    put_on_plan(user, requests_per_minute=2)

    assert [begin(user=user).outcome for _ in range(3)] == ["ok"] + ["insufficient"] * 2
    fund(wallet, 50)
    assert [begin(user=user).outcome for _ in range(2)] == ["ok", "rate_limited"]


def test_open_calls(user, wallet, fund, outcomes):
    fund(wallet, 10_000)
    put_on_plan(user, open_calls=4)

    assert outcomes(user=user) == {"ok": 4, "too_many_open": 46}
    assert balance(wallet) == (10_000, 200, 0)


def test_control_open_calls(user, wallet, fund, outcomes, unlocked):
    fund(wallet, 10_000)
    put_on_plan(user, open_calls=4)

    unlocked(RACERS)
    assert outcomes(times=1, user=user)["ok"] > 4


def test_an_ended_call_makes_room(user, wallet, fund):
    fund(wallet, 1000)
    put_on_plan(user, open_calls=1)
    begun = begin(user=user)
    assert begin(user=user).outcome == "too_many_open"
    finish(begun.call, 10)

    assert begin(user=user).outcome == "ok"


def test_a_dead_processs_calls_take_no_room(user, wallet, fund):
    fund(wallet, 1000)
    put_on_plan(user, open_calls=1)
    dead = begin(user=user, lease="0 s")

    alive = begin(user=user)

    assert (dead.outcome, alive.outcome) == ("ok", "ok")
    finish(dead.call, 0)


def test_quota_of_requests(user, outcomes):
    put_on_plan(user, metering="quota", quota_requests=9)

    assert outcomes(user=user) == {"ok": 9, "quota": 41}
    assert months(user) == [(9, 0, 0, 0)]


def test_control_quota_of_requests(user, wallet, outcomes, unlocked):
    put_on_plan(user, metering="quota", quota_requests=3)
    begin(user=user)  # so that the month's row is there already

    unlocked(RACERS)
    assert outcomes(times=1, user=user)["ok"] > 2


def test_quota_of_tokens(user, outcomes):
    put_on_plan(user, metering="quota", quota_tokens=200)

    assert outcomes(user=user) == {"ok": 6, "quota": 44}


def test_control_quota_of_tokens(user, wallet, outcomes, unlocked):
    put_on_plan(user, metering="quota", quota_tokens=200)
    begin(user=user)

    unlocked(RACERS)
    assert outcomes(times=1, user=user)["ok"] > 5


def test_a_keys_cap(user, wallet, fund, outcomes):
    fund(wallet, 10_000)
    put_on_plan(user)
    known = digest(issue_key(user=user, name="capped", monthly_cap=420).secret)

    assert outcomes(digest=known) == {"ok": 8, "key_cap": 42}
    assert balance(wallet) == (10_000, 400, 0)


def test_control_a_keys_cap(user, wallet, fund, outcomes, unlocked):
    fund(wallet, 10_000)
    put_on_plan(user)
    known = digest(issue_key(user=user, name="capped", monthly_cap=120).secret)
    begin(digest=known)

    unlocked(RACERS)
    assert outcomes(times=1, digest=known)["ok"] > 1


def test_credits(user, wallet, fund, outcomes):
    fund(wallet, 1049)
    put_on_plan(user)

    assert outcomes(user=user) == {"ok": 20, "insufficient": 30}
    assert balance(wallet) == (1049, 1000, 0)
