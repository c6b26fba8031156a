"""Ending the paid calls of processes that died."""

from ledger.models import Hold
from ledger.sweep import end_each


def sweep() -> int:
    """End calls whose lease ran out, at most a batch; answers how many this call ended.

    A call is paid to its last checkpoint, or released without one, and recorded as swept. Usage
    that still arrives is set right by ``usage.calls.finish``. A job's calls end with the job.
    """
    calls = Hold.objects.filter(kind="call").exclude(metadata__has_key="job")
    return end_each(calls, "usage_sweep_one")
