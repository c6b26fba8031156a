"""Asking again what a job that failed has asked: as another job, priced and held for anew.

What was asked is kept with a job that failed, as long as the job is; of one that is done or was
canceled it is deleted at its end. A job is retried once: whoever asks a second time, or at the same
moment, is told of the first's job. One that was canceled since counts as none.
"""

from functools import partial
from hashlib import sha256

from common.errors import Conflict
from jobs import creating, uploads
from jobs.creating import Created
from jobs.kinds import KINDS, FileKind
from jobs.models import Job
from jobs.uploads import Upload
from usage.idempotency import Key

_REASONS = {
    Job.State.QUEUED: "It has not ended: it waits, and is tried by itself.",
    Job.State.RUNNING: "It has not ended: it is being worked on.",
    Job.State.DONE: "It is done: there is nothing to retry.",
    Job.State.CANCELED: "It was canceled, and what it asked was deleted then: only its owner can "
    "ask it anew.",
}


def obstacle(job: Job) -> str | None:
    """Why a job can't be retried, if it can't."""
    if job.state != Job.State.FAILED:
        return _REASONS[Job.State(job.state)]
    kind = KINDS.get(job.kind)
    if kind is None:
        return "There is no such kind of job any more."
    if not job.user.is_active:
        return "The account of its owner is closed."
    if job.items.filter(input=None).exists():
        return "What it asked is not kept any more."
    return None


def retry_of(job: Job) -> Job | None:
    """The job that asks again what this one has asked, unless it was canceled."""
    return job.retries.exclude(state=Job.State.CANCELED).order_by("created").first()


def retry(job: Job) -> Created:
    """Queue again what ``job`` has asked, for its owner; answers the job that is made, or was.

    What it may cost is held of their wallet, at today's prices. Raises ``Conflict`` for a job that
    can't be retried, and what ``creating.create`` raises.
    """
    if (reason := obstacle(job)) is not None:
        raise Conflict(reason)
    # No client's key begins with a blank. Two at once have the same, so the second finds a job.
    canceled = job.retries.filter(state=Job.State.CANCELED).count()
    name = f" retry:{job.pk}:{canceled}"
    kind = KINDS[job.kind]
    texts = [str(text) for text in job.items.order_by("place").values_list("input", flat=True)]
    create = partial(
        creating.create,
        user=job.user,
        key=None,
        kind=job.kind,
        given=kind.given(texts),
        webhook=job.webhook,
        idempotency=Key(name, sha256(name.encode()).digest()),
        retried=job.pk,
    )
    if not isinstance(kind, FileKind):
        return create()
    with uploads.again(job.pk) as file:
        return create(upload=Upload(file, kind.audio_of(texts[0])))
