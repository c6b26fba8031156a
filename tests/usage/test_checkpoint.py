"""usage_checkpoint: one statement renews the leases of a process's calls."""

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from ledger.models import Hold
from tests.racing import on
from tests.usage.begun import begin, finish, let_lapse
from usage import calls, sweep

pytestmark = pytest.mark.usefixtures("proved")

LEASE = timedelta(minutes=5)


@pytest.fixture
def started(user, wallet, fund):
    fund(wallet, 1000)
    return [begin(user=user).call for _ in range(4)]


def left(call):
    return Hold.objects.get(pk=call).lease_until - timezone.now()


def test_each_call_gets_its_own(started):
    one, two, three, other = started
    known = {"charge": 5, "cost": 2, "usage": {"input": 1}}

    renewed = calls.checkpoint(calls={one: None, two: known, three: {"charge": 6}}, lease=LEASE)

    assert renewed == 3
    holds = {hold.pk: hold.checkpoint for hold in Hold.objects.all()}
    assert holds == {one: None, two: known, three: {"charge": 6}, other: None}
    assert all(left(call) > timedelta(minutes=4) for call in (one, two, three))
    assert left(other) <= timedelta(minutes=1)


def test_nothing_known_yet_does_not_forget_what_was(started):
    calls.checkpoint(calls={started[0]: {"charge": 5}}, lease=LEASE)
    calls.checkpoint(calls={started[0]: None}, lease=LEASE)
    assert Hold.objects.get(pk=started[0]).checkpoint == {"charge": 5}

    calls.checkpoint(calls={started[0]: {"charge": 8}}, lease=LEASE)
    assert Hold.objects.get(pk=started[0]).checkpoint == {"charge": 8}


def test_an_ended_or_unknown_call_is_passed_over(started):
    finish(started[0], 9)

    again = {started[0]: {"charge": 5}, uuid.uuid4(): None, started[1]: None}

    assert calls.checkpoint(calls=again, lease=LEASE) == 1
    assert Hold.objects.get(pk=started[0]).checkpoint is None


def test_no_calls_at_all(clean_books):
    assert calls.checkpoint(calls={}, lease=LEASE) == 0


def test_a_call_that_is_being_finished_is_not_waited_for(started, connect):
    finishing, other = connect(autocommit=False), connect()
    finish(started[0], 9, conn=finishing)

    both = {started[0]: {"charge": 5}, started[1]: {"charge": 5}}
    assert on(other, calls.checkpoint, calls=both, lease=LEASE) == 1

    finishing.commit()
    assert Hold.objects.get(pk=started[0]).captured == 9


def test_a_renewed_call_is_not_swept(started):
    let_lapse(started[0])
    calls.checkpoint(calls={started[0]: None}, lease=LEASE)

    assert sweep.sweep() == 0
