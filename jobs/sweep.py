"""What time does to jobs: those that no worker holds are queued again or ended, hints that were
lost are sent again, and what is old is forgotten."""

import uuid
from datetime import timedelta

import django.db
import structlog
from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from accounts import events
from common.errors import FareboxError
from jobs import dispatch, results, verbs
from jobs.models import Delivery, Job

log = structlog.get_logger(__name__)

BATCH = 1000
# How long a queued job may be due before its hint is taken for lost.
PATIENCE = timedelta(seconds=2)


def sweep() -> int:
    """Look after the jobs that no worker holds; answers how many were queued again or ended."""
    stale = Q(state=Job.State.RUNNING, lease_until__lt=Now())
    late = Q(state=Job.State.QUEUED, deadline__lt=Now())
    found = Job.objects.filter(stale | late).order_by("created")
    changed = 0
    for job, user in list(found.values_list("id", "user")[:BATCH]):
        changed += _sweep_one(job, user)
    due = Job.objects.filter(state=Job.State.QUEUED, not_before__lt=timezone.now() - PATIENCE)
    unsent = Delivery.objects.filter(state=Delivery.State.PENDING, next_at__lt=Now())
    if changed or due.exists() or unsent.exists():
        dispatch.send()
    return changed


def _sweep_one(job: uuid.UUID, user: int) -> bool:
    try:
        state = verbs.sweep_one(job=job, attempts=settings.JOB_ATTEMPTS)
    except django.db.OperationalError:
        raise  # the database is away; so are the others
    except (FareboxError, django.db.DatabaseError):
        log.exception("a job could not be swept", job=str(job))
        return False
    if state is None:
        return False
    log.warning("a job was held by nobody", job=str(job), state=state)
    events.changed(user)
    events.publish(user, "job", {"id": str(job), "state": state})
    return True


def forget() -> int:
    """Delete jobs that ended ``JOB_RETENTION_HOURS`` ago, results and all; answers how many."""
    before = timezone.now() - timedelta(hours=settings.JOB_RETENTION_HOURS)
    forgotten = 0
    while old := list(Job.objects.filter(finished__lt=before).values_list("id", flat=True)[:BATCH]):
        for job in old:
            results.forget(job)
        Job.objects.filter(id__in=old).delete()
        forgotten += len(old)
    return forgotten
