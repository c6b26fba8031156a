"""Tokens a minute: exact, by what calls have used and what open ones can use at most."""

import collections
import itertools
import random

import pytest

from common.errors import BadInput
from common.ids import uuid7
from ledger.models import Account, Hold
from tests.ledger.books import query
from tests.racing import at_once
from tests.usage.begun import begin, finish, let_lapse, put_on_plan
from tests.usage.calls import LEASE, METADATA
from usage import calls
from usage.limits import OverLimit
from usage.sweep import sweep

pytestmark = pytest.mark.usefixtures("proved")

# A call of tests.usage.begun takes 30 tokens at most: 10 in, 20 out.
WORST = 30
RACERS, TIMES = 40, 5


def tokens(used_in, used_out):
    return {"input": used_in, "output": used_out}


def age(seconds):
    """Let so much time go by, as far as tokens know."""
    query("UPDATE ledger_account SET token_tat = token_tat - %s * interval '1 second'", seconds)


@pytest.fixture
def rich(user, wallet, fund):
    fund(wallet, 1_000_000)
    return user


@pytest.fixture
def race(connect):
    """200 callers at once; how often each outcome came."""

    def race(times=TIMES, then=None, **call):
        def racer():
            conn = connect()

            def work():
                for _ in range(times):
                    begun = begin(conn=conn, **call)
                    if then and begun.outcome == "ok":
                        then(begun, conn)
                    yield begun.outcome

            return lambda: list(work())

        outcomes = at_once([racer() for _ in range(RACERS)])
        return collections.Counter(itertools.chain.from_iterable(outcomes))

    return race


def test_open_calls_count_with_the_most_they_can_use(rich, race):
    put_on_plan(rich, tokens_per_minute=10 * WORST + 29)

    assert race(user=rich) == {"ok": 10, "tokens_limited": 190}


def test_control_tokens_a_minute(rich, race, unlocked):
    put_on_plan(rich, tokens_per_minute=10 * WORST)

    unlocked(RACERS)
    assert race(times=1, user=rich)["ok"] > 10


def test_ended_calls_count_with_what_they_have_used(rich, race):
    """Whatever comes and goes, no more is used than a minute's tokens and what is refilled."""
    limit = 3_000
    put_on_plan(rich, tokens_per_minute=limit)
    chance = random.Random(1)
    used = []

    def end(begun, conn):
        some = tokens(chance.randint(0, 10), chance.randint(0, 20))
        used.append(sum(some.values()))
        finish(begun.call, 5, usage=some, conn=conn)

    outcomes = race(user=rich, times=15, then=end)

    (((first, last),)) = query("SELECT min(created), max(created) FROM ledger_hold")
    refilled = (last - first).total_seconds() * limit / 60
    assert outcomes["tokens_limited"] > 0
    assert limit - WORST - 1 <= sum(used) <= limit + refilled


def test_what_a_call_did_not_use_is_given_back(rich):
    put_on_plan(rich, tokens_per_minute=40)
    first = begin(user=rich)
    assert begin(user=rich).outcome == "tokens_limited"
    finish(first.call, 5, usage=tokens(4, 6))

    assert [begin(user=rich).outcome for _ in range(2)] == ["ok", "tokens_limited"]


def test_a_failed_call_used_nothing(rich):
    put_on_plan(rich, tokens_per_minute=WORST)
    finish(begin(user=rich).call, 0, status="failed", usage=None)

    assert Account.objects.get(owner=rich).token_tat is None
    assert begin(user=rich).outcome == "ok"


def test_tokens_are_refilled_evenly(rich):
    put_on_plan(rich, tokens_per_minute=60)
    finish(begin(user=rich, output_tokens=50).call, 5, usage=tokens(10, 50))

    refused = begin(user=rich)
    assert (refused.outcome, refused.needed, refused.detail) == ("tokens_limited", 30, 30)
    age(15)
    assert begin(user=rich).detail == 15
    age(15)
    assert [begin(user=rich).outcome for _ in range(2)] == ["ok", "tokens_limited"]


def test_no_more_is_saved_up_than_a_minutes(rich):
    put_on_plan(rich, tokens_per_minute=2 * WORST)
    finish(begin(user=rich).call, 5, usage=tokens(10, 20))
    age(86_400)

    assert [begin(user=rich).outcome for _ in range(3)] == ["ok", "ok", "tokens_limited"]


def test_a_long_call_counts_from_when_it_began(rich):
    put_on_plan(rich, tokens_per_minute=2 * WORST)
    long = begin(user=rich)
    assert [begin(user=rich).outcome for _ in range(2)] == ["ok", "tokens_limited"]
    query("UPDATE ledger_hold SET created = created - interval '1 hour' WHERE id = %s", long.call)
    assert begin(user=rich).outcome == "tokens_limited", "however long it takes"
    finish(long.call, 5, usage=tokens(10, 20))

    assert [begin(user=rich).outcome for _ in range(2)] == ["ok", "tokens_limited"]


def test_the_wait_is_for_open_calls_too(rich):
    """How long they take nobody knows; their end is worth asking for."""
    put_on_plan(rich, tokens_per_minute=WORST)
    begin(user=rich)

    refused = begin(user=rich)
    assert (refused.outcome, refused.detail) == ("tokens_limited", 1)


def test_dead_processs_calls_count_until_they_are_swept(rich):
    put_on_plan(rich, tokens_per_minute=WORST + 10)
    let_lapse(begin(user=rich).call, {"charge": 5, "cost": 5, "usage": tokens(4, 6)})
    assert begin(user=rich).outcome == "tokens_limited"
    assert sweep() == 1

    assert [begin(user=rich).outcome for _ in range(2)] == ["ok", "tokens_limited"]


def test_late_usage_counts_once(rich):
    put_on_plan(rich, tokens_per_minute=600)
    call = begin(user=rich).call
    let_lapse(call, {"charge": 5, "cost": 5, "usage": tokens(4, 6)})
    sweep()
    for _ in range(2):
        finish(call, 9, usage=tokens(10, 20))

    tat = Account.objects.get(owner=rich).token_tat
    assert (tat - Hold.objects.get(pk=call).created).total_seconds() == pytest.approx(3)


def test_an_unnamed_bound_is_what_a_minute_has(rich):
    put_on_plan(rich, tokens_per_minute=22)

    begun = begin(user=rich, exact=False, choices=2)
    assert (begun.outcome, begun.output_tokens) == ("ok", 6)
    assert Hold.objects.get().metadata["reserved"] == 22


def test_what_no_minute_has_is_the_requests_fault(rich):
    put_on_plan(rich, tokens_per_minute=22)

    refused = begin(user=rich)
    assert (refused.outcome, refused.needed, refused.affordable) == ("token_bound", 30, 12)
    assert begin(user=rich, exact=False, choices=3).outcome == "token_bound", "below the floor"
    assert begin(user=rich, input_tokens=50, exact=False).outcome == "token_bound"


def test_a_refused_call_uses_up_no_tokens(user, wallet, fund):
    put_on_plan(user, tokens_per_minute=WORST)
    assert begin(user=user).outcome == "insufficient"
    fund(wallet, 50)

    assert begin(user=user).outcome == "ok"


def test_a_plan_without_the_limit_keeps_no_pace(rich):
    put_on_plan(rich)
    begun = begin(user=rich)
    finish(begun.call, 5)

    assert "reserved" not in Hold.objects.get().metadata
    assert Account.objects.get(owner=rich).token_tat is None


def _begin(user, **worst):
    usual = {
        "input_tokens": 10, "input_units": 10_000_000, "output_rate": 0, "output_tokens": 20,
        "choices": 1, "exact": True, "floor": 5,
    }  # fmt: skip
    return calls.begin(
        call=uuid7(), digest=None, user=user.pk, model="demo", metadata=METADATA,
        worst=calls.WorstCase(**usual | worst), lease=LEASE, top_up_url="",
    )  # fmt: skip


def test_the_verb_says_what_to_do(rich):
    put_on_plan(rich, tokens_per_minute=60)
    finish(begin(user=rich, output_tokens=50).call, 5, usage=tokens(10, 50))

    with pytest.raises(OverLimit, match=r"may need 30 tokens.* 0 are left; try again in 30 s"):
        _begin(rich)
    with pytest.raises(BadInput, match=r"may need 110 tokens.*allows 60.*max_tokens=50") as raised:
        _begin(rich, output_tokens=100)
    assert raised.value.param == "max_tokens"
