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
from jobs import dispatch, results, uploads, verbs
from jobs.models import Delivery, Item, Job

log = structlog.get_logger(__name__)

BATCH = 1000
# How long a queued job may be due before its hint is taken for lost.
PATIENCE = timedelta(seconds=2)
# How long removing files may take at a time, seconds; the next sweep goes on.
FILES_SECONDS = 300.0
# A job that is being made has files before it has a row.
YOUNG = timedelta(hours=1)


def sweep() -> int:
    """Look after the jobs that no worker holds; answers how many were queued again or ended."""
    stale = Q(state=Job.State.RUNNING, lease_until__lt=Now())
    late = Q(state=Job.State.QUEUED, deadline__lt=Now())
    found = Job.objects.filter(stale | late).order_by("created")
    changed = 0
    for job, user, kind in list(found.values_list("id", "user", "kind")[:BATCH]):
        changed += _sweep_one(job, user, kind)
    due = Job.objects.filter(state=Job.State.QUEUED, not_before__lt=timezone.now() - PATIENCE)
    unsent = Delivery.objects.filter(state=Delivery.State.PENDING, next_at__lt=Now())
    if changed or due.exists() or unsent.exists():
        dispatch.send()
    return changed


def _sweep_one(job: uuid.UUID, user: int, kind: str) -> bool:
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
    uploads.drop_if_over(job, kind, state)
    return True


def forget() -> int:
    """Delete jobs that ended ``JOB_RETENTION_HOURS`` ago, results and all; answers how many. With
    them go uploaded files that no job needs."""
    before = timezone.now() - timedelta(hours=settings.JOB_RETENTION_HOURS)
    forgotten = 0
    while old := list(Job.objects.filter(finished__lt=before).values_list("id", flat=True)[:BATCH]):
        filed = Item.objects.filter(job__in=old).exclude(file="")
        results.forget_all(filed.values_list("job", flat=True).distinct(), FILES_SECONDS)
        Job.objects.filter(id__in=old).delete()
        forgotten += len(old)
    remove_strays()
    uploads.tidy()
    return forgotten


def remove_strays() -> int:
    """Remove the files of jobs that are no more: what workers left that died, or could not be
    removed with its job while the storage was away. Answers of how many jobs."""
    try:
        found = results.jobs_with_files(timezone.now() - YOUNG)
    except OSError as error:
        log.error("files of jobs are not swept", error=str(error))
        return 0
    removed = 0
    for start in range(0, len(found), BATCH):
        some = found[start : start + BATCH]
        kept = set(Job.objects.filter(id__in=some).values_list("id", flat=True))
        removed += results.forget_all((job for job in some if job not in kept), FILES_SECONDS)
    return removed
