"""One Idempotency-Key, one paid call: what usage_begin says to a second one with the same key."""

import collections
import itertools
from hashlib import sha256

import pytest

from accounts.verbs import create_user
from common.errors import BadInput
from common.ids import uuid7
from ledger import verbs
from ledger.models import Hold
from tests.ledger.books import balance, query, total
from tests.racing import at_once
from tests.usage.begun import begin, finish, let_lapse, months, paid, put_on_plan
from usage import idempotency, tasks
from usage.idempotency import Key
from usage.models import Call, CallKey
from usage.sweep import sweep

pytestmark = pytest.mark.usefixtures("proved")

BODY, OTHER = sha256(b"one").digest(), sha256(b"other").digest()
KEYS, COPIES, USERS = 1000, 20, 10


def ask(user, key="k", request=BODY, **options):
    return begin(user=user, key=key, request=request, **options)


@pytest.fixture
def rich(user, wallet, fund):
    """``user`` with credits, on a plan without limits."""
    fund(wallet, 1_000_000)
    put_on_plan(user)
    return user


def test_the_first_call_is_begun_and_its_key_kept(rich):
    first = ask(rich)

    assert (first.outcome, first.earlier) == ("ok", None)
    (kept,) = CallKey.objects.all()
    assert (kept.user, kept.key, bytes(kept.request), kept.call) == (rich, "k", BODY, first.call)


def test_without_a_key_nothing_is_kept(rich):
    assert begin(user=rich).outcome == "ok"
    assert not CallKey.objects.exists()
    assert "keyed" not in Hold.objects.get().metadata


def test_while_it_is_open_a_second_one_is_told_so(rich, wallet):
    first = ask(rich)
    second = ask(rich)

    assert (second.outcome, second.earlier) == ("in_progress", first.call)
    assert balance(wallet) == (1_000_000, 50, 0)
    assert months(rich) == [(1, 0, 0, 0)]


def test_once_it_has_ended_a_second_one_learns_of_its_receipt(rich, wallet):
    first = ask(rich)
    finish(first.call, 40)
    second = ask(rich)

    assert (second.outcome, second.earlier) == ("completed", first.call)
    assert balance(wallet) == (999_960, 0, 0)
    assert Call.objects.count() == 1


@pytest.mark.parametrize("ended", [True, False])
def test_another_request_is_refused(rich, ended):
    first = ask(rich)
    if ended:
        finish(first.call, 40)

    second = ask(rich, request=OTHER)
    assert (second.outcome, second.earlier) == ("key_reused", first.call)


def test_users_keys_are_their_own(rich, fund):
    stranger = create_user(email="stranger@example.com")
    fund(verbs.wallet_of(user=stranger.pk), 1000)

    assert [ask(rich).outcome, ask(stranger).outcome] == ["ok", "ok"]


def test_it_is_told_before_whatever_else_stands_in_the_way(user, wallet, fund):
    """Who has paid already learns so, even if there is nothing left to pay with."""
    fund(wallet, 50)
    put_on_plan(user, requests_per_minute=1)
    first = ask(user)
    finish(first.call, 50)

    assert ask(user).outcome == "completed"
    assert ask(user, key="another").outcome == "rate_limited"


def test_a_refused_call_leaves_its_key_free(user, wallet, fund):
    put_on_plan(user)
    assert ask(user).outcome == "insufficient"
    fund(wallet, 50)

    assert ask(user, request=OTHER).outcome == "ok"


def test_a_failed_call_frees_its_key(rich, wallet):
    first = ask(rich)
    finish(first.call, 0, status="failed", usage=None)

    second = ask(rich, request=OTHER)
    assert (second.outcome, second.earlier) == ("ok", None)
    assert ask(rich, request=OTHER).earlier == second.call
    finish(second.call, 40)
    assert balance(wallet) == (999_960, 0, 0)


def test_a_process_that_died_before_anything_was_delivered_frees_it(rich):
    first = ask(rich)
    let_lapse(first.call)
    assert ask(rich).outcome == "in_progress", "nobody knows yet"
    sweep()

    assert ask(rich).outcome == "ok"


def test_a_process_that_died_later_does_not(rich):
    first = ask(rich)
    let_lapse(first.call, {"charge": 30, "cost": 9, "usage": {"input": 10, "output": 8}})
    sweep()

    assert ask(rich).outcome == "completed"


def test_who_comes_back_after_all_is_not_paid_for_twice(rich, wallet):
    """A process that was taken for dead delivers, when another call has its key: the operator's."""
    first = ask(rich)
    let_lapse(first.call)
    sweep()
    second = ask(rich)
    finish(second.call, 40)

    finish(first.call, 30)

    assert balance(wallet) == (999_960, 0, 0)
    assert paid(first.call) == ("completed", 0, 30)
    assert total("write_off") == -30


def test_who_comes_back_and_was_not_replaced_is_paid_for(rich, wallet):
    first = ask(rich)
    let_lapse(first.call)
    sweep()

    finish(first.call, 30)

    assert balance(wallet) == (999_970, 0, 0)
    assert ask(rich).outcome == "completed"


def test_an_attempt_whose_answer_was_lost_is_made_again_as_itself(rich, wallet):
    call = uuid7()
    first = ask(rich, call=call, exact=False)
    again = ask(rich, call=call, exact=False)

    assert (first.outcome, again.outcome) == ("ok", "ok")
    assert (again.held, again.output_tokens) == (first.held, first.output_tokens)
    assert balance(wallet) == (1_000_000, 50, 0)
    assert months(rich) == [(1, 0, 0, 0)]


def test_a_key_is_forgotten_after_a_day(rich):
    old, young = ask(rich, key="old"), ask(rich, key="young")
    query("UPDATE usage_callkey SET created = created - interval '24 hours' WHERE key = 'old'")
    query("UPDATE usage_callkey SET created = created - interval '23 hours' WHERE key = 'young'")
    finish(old.call, 40)

    assert ask(rich, key="young").earlier == young.call
    assert tasks.forget_keys() == 1
    assert [kept.key for kept in CallKey.objects.all()] == ["young"]
    assert ask(rich, key="old").outcome == "ok"


def test_a_key_of_yesterday_that_is_still_there_counts_no_more(rich):
    first = ask(rich)
    finish(first.call, 40)
    query("UPDATE usage_callkey SET created = created - interval '24 hours'")

    second = ask(rich, request=OTHER)
    assert second.outcome == "ok"
    assert CallKey.objects.get().call == second.call


def test_a_thousand_keys_twenty_copies_each_a_thousand_effects(connect, fund):
    people = [create_user(email=f"p{number}@example.com") for number in range(USERS)]
    for person in people:
        fund(verbs.wallet_of(user=person.pk), 50 * KEYS)

    def copy():
        conn = connect()

        def work():
            outcomes = collections.Counter()
            for number in range(KEYS):
                asked = ask(people[number % USERS], f"key {number}", conn=conn)
                outcomes[asked.outcome] += 1
                if asked.outcome == "ok" and number % 2:
                    finish(asked.call, 40, conn=conn)
            return outcomes

        return work

    query("UPDATE billing_plan SET requests_per_minute = NULL, open_calls = NULL")
    outcomes = sum(at_once([copy() for _ in range(COPIES)]), collections.Counter())

    assert outcomes["ok"] == Hold.objects.count() == KEYS
    assert Call.objects.count() == KEYS // 2
    assert outcomes["in_progress"] + outcomes["completed"] == KEYS * (COPIES - 1)
    assert outcomes["in_progress"] > 0 < outcomes["completed"]
    assert total("revenue") == 40 * KEYS // 2


def test_control_a_thousand_effects(rich, connect, unlocked):
    """Without the wallet's lock one key begins several calls."""
    conns = [connect() for _ in range(COPIES // 2)]
    unlocked(len(conns))
    asked = at_once([lambda conn=conn: ask(rich, conn=conn).outcome for conn in conns])

    assert collections.Counter(asked)["ok"] > 1


@pytest.mark.parametrize(
    ("header", "key"),
    [
        (b"k", "k"),
        (b" 8e03978e-40d5-43e8-bc93-6894a57f9324\t", "8e03978e-40d5-43e8-bc93-6894a57f9324"),
        (b'"quoted, with a blank"', '"quoted, with a blank"'),
        (b"x" * 255, "x" * 255),
    ],
)
def test_what_is_a_key(header, key):
    assert idempotency.read(header, "/v1/messages", b"{}").key == key


@pytest.mark.parametrize(
    "header", [b"", b"  ", b"x" * 256, "schlüssel".encode(), b"a\x7fb", b"\x00"]
)
def test_what_is_none(header):
    with pytest.raises(BadInput, match="Idempotency-Key") as raised:
        idempotency.read(header, "/v1/messages", b"{}")
    assert raised.value.param == "Idempotency-Key"


def test_a_request_is_its_address_and_its_body():
    assert idempotency.read(None, "/v1/messages", b"{}") is None
    asked = itertools.product(("/v1/messages", "/v1/messages2"), (b"{}", b"{ }"))
    found = {idempotency.read(b"k", path, body) for path, body in asked}
    assert len(found) == 4
    assert idempotency.read(b"k", "/v1/messages", b"{}") in found
    assert all(isinstance(key, Key) and len(key.request) == 32 for key in found)
