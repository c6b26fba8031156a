"""usage_finish: the end of a call, once."""

import uuid
from typing import Any

import pytest
from django.db import DatabaseError

from accounts.keys import digest
from accounts.models import User
from common.errors import AlreadyEnded, NotFound
from ledger import verbs
from ledger.models import Hold, Transfer
from ledger.reconcile import reconcile
from tests.ledger.books import LEASE, balance, query, total
from tests.racing import at_once
from tests.usage.begun import TOKENS, begin, finish, months, paid
from usage import calls
from usage.limits import Limits
from usage.models import Call
from usage.prices import Usage

pytestmark = pytest.mark.usefixtures("proved")


@pytest.fixture
def call(wallet, fund, api_key):
    """An open call, by a key, that holds 50 of 1,000."""
    fund(wallet, 1000)
    return begin(digest=digest(api_key.secret)).call


def test_a_call_is_paid_recorded_and_counted(user, wallet, api_key, call):
    finished = finish(call, 42, usage=TOKENS | {"reasoning": 15})

    assert vars(finished) == {"spent": 42, "returned": 8, "written_off": 0, "repeated": False}
    assert balance(wallet) == (958, 0, 0)
    transfer = Transfer.objects.get(kind="capture")
    assert (transfer.key, transfer.hold_id, transfer.amount) == (f"call:{call}", call, 42)
    assert (transfer.metadata["call"], transfer.metadata["model"]) == (str(call), "m")
    hold = Hold.objects.get(pk=call)
    record: dict[str, Any] = {**Call.objects.values().get()}
    assert hold.ended is not None
    assert hold.ended <= record.pop("finished")
    assert record == {
        "id": call, "user_id": user.pk, "api_key_id": api_key.key.pk, "model": "m",
        "provider": "p", "protocol": "openai", "price_id": None, "status": "completed",
        "streamed": True, "by_quota": False, "held": 50, "spent": 42, "written_off": 0,
        "cost": 7, "estimated": False, "input_tokens": 10, "cached_tokens": 4,
        "cache_write_tokens": 0, "cache_write_1h_tokens": 0, "output_tokens": 20,
        "reasoning_tokens": 15, "error": "", "first_event_ms": 12, "started": hold.created,
    }  # fmt: skip
    assert months(user) == [(1, 10, 20, 42)]


def test_a_process_of_the_version_before_tells_no_reasoning(call):
    finish(call, 42, usage=TOKENS)

    assert Call.objects.get().reasoning_tokens == 0


def test_a_second_finish_answers_the_first(wallet, call):
    first = finish(call, 42)
    second = finish(call, 50, status="canceled", usage={"input": 1})

    assert vars(second) == vars(first) | {"repeated": True}
    assert balance(wallet) == (958, 0, 0)
    assert paid(call) == ("completed", 42, 0)


def test_of_many_finishes_at_once_one_counts(user, wallet, call, connect):
    def finisher(charge):
        conn = connect()
        return lambda: finish(call, charge, conn=conn)

    answers = at_once([finisher(charge) for charge in range(40, 48)])

    assert sorted(answer.repeated for answer in answers) == [False] + [True] * 7
    (spent,) = {answer.spent for answer in answers}
    assert balance(wallet) == (1000 - spent, 0, 0)
    assert months(user) == [(1, 10, 20, spent)]


def test_a_call_that_failed_costs_nothing_and_counts_for_nothing(user, wallet, call):
    finished = finish(call, 0, status="failed", usage=None, cost=None, error=None)

    assert vars(finished) == {"spent": 0, "returned": 50, "written_off": 0, "repeated": False}
    assert balance(wallet) == (1000, 0, 0)
    assert not Transfer.objects.filter(kind="capture").exists()
    assert paid(call) == ("failed", 0, 0)
    assert months(user) == [(0, 0, 0, 0)]


def test_more_than_was_held_is_taken_from_what_else_there_is(wallet, call):
    finished = finish(call, 90)

    assert vars(finished) == {"spent": 90, "returned": 0, "written_off": 0, "repeated": False}
    assert balance(wallet) == (910, 0, 0)


def test_what_is_not_there_is_written_off(user, wallet, call):
    verbs.hold(account=wallet, amount=940, key="h", kind="api", lease=LEASE)

    finished = finish(call, 90)

    assert vars(finished) == {"spent": 60, "returned": 0, "written_off": 30, "repeated": False}
    assert paid(call) == ("completed", 60, 30)
    assert (total("revenue"), total("write_off")) == (90, -30)
    assert months(user) == [(1, 10, 20, 60)]


@pytest.mark.parametrize("charge", [None, -1])
def test_a_charge_that_cannot_be_is_refused(wallet, call, charge):
    with pytest.raises(DatabaseError, match="can't be ended"):
        finish(call, charge)

    assert balance(wallet) == (1000, 50, 0)


def test_tokens_that_are_not_said_are_none(user, call):
    finish(call, 1, usage={"output": 3, "cached": None})

    record = Call.objects.get()
    assert (record.input_tokens, record.cached_tokens, record.output_tokens) == (0, 0, 3)
    assert months(user) == [(1, 0, 3, 1)]


def test_a_long_error_is_cut(call):
    finish(call, 1, status="interrupted", error="e" * 500)

    assert Call.objects.get().error == "e" * 200


def test_only_a_call_is_finished(wallet, fund):
    fund(wallet, 10)
    held = verbs.hold(account=wallet, amount=1, key="h", kind="api", lease=LEASE).hold

    for other in (held, uuid.uuid4()):
        with pytest.raises(DatabaseError, match="no call"):
            finish(other, 1)


def test_a_call_is_ended_by_nothing_else(wallet, call):
    """A service key that learns a call's id can't end it behind its record's back."""
    with pytest.raises(NotFound):
        verbs.capture(hold=call, amount=1, key="capture")
    with pytest.raises(NotFound):
        verbs.release(hold=call, key="release")

    assert finish(call, 42).spent == 42


def test_a_hold_that_ended_without_a_record_does_not_end_again(user, wallet, call):
    """Whoever did it; the money is not given back, or taken, a second time."""
    query("UPDATE ledger_hold SET state = 'released', ended = now() WHERE id = %s", call)
    query("UPDATE ledger_account SET held = 0 WHERE id = %s", wallet)

    with pytest.raises(AlreadyEnded):
        calls.finish(
            call=call, status="completed", charge=9, cost=0, usage=Usage(), estimated=False
        )

    assert balance(wallet) == (1000, 0, 0)
    assert f"call {call}: its hold is released, its record is missing" in reconcile().violations
    Call.objects.create(
        id=call, user=user, api_key=user.api_keys.get(), model="m", status="completed",
        streamed=True, by_quota=False, held=50, spent=0, written_off=0, cost=0, estimated=True,
        input_tokens=0, cached_tokens=0, cache_write_tokens=0, cache_write_1h_tokens=0,
        output_tokens=0, started=Hold.objects.get(pk=call).created, finished="2026-01-01T00:00Z",
    )  # fmt: skip


def test_a_call_outlives_its_user(user, wallet, call):
    """Somebody is deleted while a call is open: it still ends, and is paid."""
    User.objects.get(pk=user.pk).delete()

    assert finish(call, 42).spent == 42

    record = Call.objects.get()
    assert (record.user_id, record.api_key_id, record.spent) == (None, None, 42)
    assert balance(wallet) == (958, 0, 0)
    assert months(user) == []


def test_a_call_counts_in_the_month_it_began_in(user, wallet, call):
    query("UPDATE ledger_hold SET created = '2026-10-31 23:59:59+00' WHERE id = %s", call)
    query("UPDATE usage_monthlyusage SET month = '2026-10'")

    finish(call, 42)

    assert query("SELECT month, requests, spent FROM usage_monthlyusage") == [("2026-10", 1, 42)]


def test_the_verbs_say_the_same(user, wallet, fund):
    fund(wallet, 100)
    call = uuid.uuid4()
    worst = calls.WorstCase(
        input_tokens=10, input_units=10_000_000, output_rate=2_000_000, output_tokens=20,
        choices=1, exact=True, floor=5,
    )  # fmt: skip
    begun = calls.begin(
        call=call, digest=None, user=user.pk, model="m", worst=worst, lease=LEASE,
        metadata={"model": "m", "provider": "p", "protocol": "openai", "stream": False},
        top_up_url="https://example.com",
    )  # fmt: skip
    left = Limits(
        requests_per_minute=20, ahead=3_000_000, open_calls=4, open_now=1, tokens_per_minute=None,
        tokens_left=None,
    )  # fmt: skip
    assert begun == calls.Begun(
        held=50, output_tokens=20, available=50, limits=left, user=user.pk
    )  # fmt: skip
    assert calls.checkpoint(calls={call: {"charge": 3}}, lease=LEASE) == 1
    ended: dict[str, Any] = {"call": call, "charge": 42, "cost": 1, "usage": Usage(**TOKENS)}
    ended |= {"status": "completed", "estimated": False}

    assert calls.finish(**ended) == calls.Finished(42, 8, 0, False, user.pk)
    assert calls.finish(**ended) == calls.Finished(42, 8, 0, True, user.pk)
