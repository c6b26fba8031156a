"""What Celery runs for the ledger; when is said in ``config.schedule``."""

import structlog
from celery import shared_task

from ledger import reconcile as books
from ledger import sweep

log = structlog.get_logger(__name__)


@shared_task
def expire_lots() -> int:
    """Take out of every wallet what is due."""
    return sweep.expire_lots()


@shared_task
def reconcile() -> int:
    """Prove the books; an error is logged for each violation. Answers how many there are."""
    run = books.reconcile()
    for line in run.violations:
        log.error("the books are wrong", violation=line, reconciliation=run.pk)
    return len(run.violations)
