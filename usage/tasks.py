"""What Celery runs for paid calls; when is said in ``config.schedule``."""

from celery import shared_task

import ledger.sweep
import usage.idempotency
import usage.sweep


@shared_task
def sweep() -> int:
    """End every hold whose lease ran out: paid calls, then all other kinds."""
    return usage.sweep.sweep() + ledger.sweep.sweep()


@shared_task
def forget_keys() -> int:
    """Drop the idempotency keys of calls that are a day old."""
    return usage.idempotency.forget()
