"""What Celery runs for jobs; when is said in ``config.schedule``."""

from celery import shared_task

import jobs.sweep
from jobs import process


@shared_task
def work() -> None:
    """There are jobs: this process takes what is due, and does it beside its other tasks."""
    process.wake()


@shared_task
def sweep() -> int:
    """Find the jobs that no worker holds."""
    return jobs.sweep.sweep()


@shared_task
def forget() -> int:
    """Delete the jobs whose time is over."""
    return jobs.sweep.forget()
