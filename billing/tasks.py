"""What Celery runs for billing; when is said in ``config.schedule``."""

from celery import shared_task

from billing import allowance


@shared_task
def forget_ranges() -> int:
    """Drop the counts of allowances a range whose day is long over."""
    return allowance.forget_ranges()
