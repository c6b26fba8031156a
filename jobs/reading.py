"""What somebody may read of their jobs."""

import uuid
from collections.abc import Sequence
from datetime import UTC
from typing import Any

import orjson
from django.conf import settings
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils.dateparse import parse_datetime

from accounts.models import User
from common.errors import NotFound
from common.money import format_credits
from common.paging import Cursor, bad_cursor
from jobs import results
from jobs.creating import Created
from jobs.kinds import KINDS
from jobs.models import Item, Job


def job_of(user: User, job_id: uuid.UUID) -> Job:
    """A job of ``user``'s. Raises ``NotFound``, for somebody else's too."""
    job = Job.objects.filter(pk=job_id, user=user).first()
    if job is None:
        raise NotFound("There is no such job; jobs that have ended are kept for a time.")
    return job


def jobs_of(user: User, filters: dict[str, Any]) -> QuerySet[Job]:
    """A user's jobs, filtered by ``state`` and ``kind``."""
    names = {name: value for name, value in filters.items() if name in {"state", "kind"}}
    return Job.objects.filter(user=user, **names)


def place(job: Job) -> tuple[str, str]:
    """Where a job stands in the list."""
    return job.created.isoformat(), str(job.pk)


def page_of(jobs: QuerySet[Job], cursor: Cursor | None, count: int) -> list[Job]:
    """At most ``count`` jobs next to the cursor. Raises ``BadInput`` for one that is none."""
    if cursor is None:
        return list(jobs[:count])
    try:
        created, pk = parse_datetime(cursor.place[0]), uuid.UUID(cursor.place[1])
    except ValueError:
        raise bad_cursor() from None
    if created is None or created.tzinfo is None:
        raise bad_cursor()
    if cursor.newer:
        newer = Q(created__gt=created) | Q(created=created, pk__gt=pk)
        return list(jobs.filter(newer).order_by("created", "pk")[:count])
    older = Q(created__lt=created) | Q(created=created, pk__lt=pk)
    return list(jobs.filter(older)[:count])


def detail(job: Job) -> Job:
    """The job with ``result`` and ``result_url``, as ``JobDetailSerializer`` takes it."""
    items = list(job.items.all()) if job.has_ended else []
    found = any(item.result is not None or item.file for item in items)
    # What is in a file is fetched by whoever wants it: a storage that is away stops nobody else.
    small = sum(item.bytes for item in items) <= settings.JOB_INLINE_BYTES
    small = small and not any(item.file for item in items)
    job.result = result_of(job, items) if found and small else None  # type: ignore[attr-defined]
    job.result_url = (  # type: ignore[attr-defined]
        reverse("job-result", args=[job.pk]) if found else None
    )
    return job


def body_of_new(created: Created, kind: str) -> dict[str, Any]:
    """The same of a job that was made just now, as ``JobDetailSerializer`` has it: by hand and
    without a look at the database, which would take as long as all that made it."""
    assert created.made is not None
    nothing = ("error", "started", "finished", "result", "result_url")
    return {
        "id": str(created.job),
        "kind": kind,
        "state": Job.State.QUEUED.value,
        "progress": 0,
        "total": created.total,
        "done": 0,
        "failed": 0,
        "held": format_credits(created.held or 0),
        "spent": format_credits(0),
        "created": created.made.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        **dict.fromkeys(nothing),
    }


def result_of(job: Job, items: Sequence[Item]) -> Any:
    """What the kind makes of its items' results."""
    answers = [
        {
            "state": item.state,
            "call": str(item.call),
            "spent": format_credits(item.spent),
            "result": None if (text := results.read(item)) is None else orjson.loads(text),
            "error": item.error,
        }
        for item in items
    ]
    kind = KINDS.get(job.kind)
    return kind.result(answers) if kind else answers
