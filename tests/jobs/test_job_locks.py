"""Jobs' locks: of two who lock several jobs none waits for what the other has, and who waits for a
wallet looks again once it is there."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, connections, transaction

from accounts.leaving import delete_account
from accounts.models import ApiKey
from common.errors import NotAuthenticated
from common.ids import uuid7
from jobs import creating, verbs
from jobs.models import Job
from tests.jobs.asking import Asker
from tests.proxy.riders import Rider
from tests.proxy.server import wait_for

LEASE = timedelta(seconds=600)
_BLOCKED = """
SELECT EXISTS (SELECT FROM pg_locks
    WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))
"""
_PATIENT = """
SET LOCAL lock_timeout = '120s'; SET LOCAL enable_mergejoin = off; SET LOCAL enable_indexscan = off;
SET LOCAL enable_bitmapscan = off
"""


@pytest.fixture
def asker(configured: Any, rider: Rider) -> Asker:
    return Asker(rider)


def in_thread(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Work in a thread, which waits for locks as long as it takes and finds rows as they lie; and
    what came of it."""
    came: list[Any] = []

    def patient() -> None:
        try:
            with transaction.atomic():
                connection.cursor().execute(_PATIENT)
                came.append(work())
        except Exception as error:
            came.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=patient)
    thread.start()
    return thread, came


def is_waited_for() -> bool:
    """Whether somebody waits for a lock that this transaction has."""
    with connection.cursor() as cursor:
        cursor.execute(_BLOCKED)
        return bool(cursor.fetchone()[0])


@pytest.mark.parametrize("who", ["a worker", "who leaves"])
def test_several_jobs_are_locked_in_one_order(asker: Asker, who: str) -> None:
    """While one is waited for, those after it are free: nobody waits for the other in a circle."""
    first, second = sorted(UUID(asker.make("noop")["id"]) for _ in range(2))
    tokens = {job.id: job.token for job in verbs.claim(limit=2, lease=LEASE)}
    Job.objects.filter(pk=first).update(attempts=1)  # now it lies behind the second
    held = {second: tokens[second], first: tokens[first]}
    work = {
        "a worker": lambda: verbs.renew(held=held, lease=LEASE),
        "who leaves": lambda: delete_account(user=asker.rider.user),
    }[who]
    with transaction.atomic():
        Job.objects.select_for_update().get(pk=first)
        thread, came = in_thread(work)
        try:
            wait_for(is_waited_for, 60, "it waits for the first")
            Job.objects.select_for_update(no_key=True, nowait=True).get(pk=second)
        except BaseException:
            transaction.set_rollback(True)
            raise
    thread.join(60)
    assert came == [{first: False, second: False} if who == "a worker" else True]
    for job in Job.objects.all():
        verbs.end(job=job.pk)


def test_no_job_is_made_behind_who_leaves(asker: Asker) -> None:
    """One that waits for the wallet while its owner is deleted."""
    digest = bytes(ApiKey.objects.get(user=asker.rider.user).digest)
    row = {"kind": "noop", "parts": [], "webhook": "", "key": None}
    with transaction.atomic():
        assert delete_account(user=asker.rider.user)
        thread, came = in_thread(
            lambda: creating.make(job=uuid7(), user=None, digest=digest, **row)
        )
        wait_for(is_waited_for, 60, "it waits for the wallet")
    thread.join(60)
    assert [type(one) for one in came] == [NotAuthenticated], came
    assert not Job.objects.exists()
