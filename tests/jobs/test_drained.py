"""Many jobs and two workers."""

from collections.abc import Callable
from typing import Any

from django.conf import settings

from common.ids import uuid7
from jobs import creating
from jobs.models import Job
from tests.jobs.hands import Hand
from tests.proxy.riders import Rider
from tests.proxy.server import wait_for

JOBS = 300


def test_each_is_done_once(configured: Any, hire: Callable[[], Hand], rider: Rider) -> None:
    """More than either takes at a time, so that both go on taking while the other does."""
    assert JOBS > 4 * settings.JOBS_AT_ONCE
    for _ in range(JOBS):
        creating.make(
            job=uuid7(), user=rider.user.pk, digest=None, kind="noop", parts=[], webhook="",
            key=None,
        )  # fmt: skip
    hands = [hire(), hire()]
    for hand in hands:
        hand.wake()
    wait_for(lambda: not Job.objects.filter(finished=None).exists(), 60, "all are done")
    found = Job.objects.values_list("state", "attempts")
    assert list(found) == [("done", 1)] * JOBS
