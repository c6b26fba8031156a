"""The jobs' part in leaving: whoever leaves for good takes their jobs along. Imported when the app
is ready."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Q

from accounts.leaving import exports, leaves_out, on_leaving
from accounts.models import User
from common.money import format_credits
from jobs import results, uploads, verbs
from jobs.kinds import KINDS, FileKind
from jobs.models import Item, Job, WebhookSecret

FILES_SECONDS = 10.0

leaves_out(WebhookSecret, "signs what is sent to them; whoever has it could sign, too")


@on_leaving
def end_jobs(user: User) -> None:
    """Nothing is worked on any more, every hold is released, and what was asked and answered is
    deleted. A worker that is at one of them finds it gone within a second."""
    theirs = Job.objects.filter(user=user)
    filed = list(
        theirs.filter(Q(items__file__gt="") | Q(finished=None)).distinct().values_list("id")
    )
    sent = [kind for kind, of in KINDS.items() if isinstance(of, FileKind)]
    uploaded = list(theirs.filter(kind__in=sent).exclude(state=Job.State.DONE).values_list("id"))
    for job in theirs.order_by("id").values_list("id", flat=True):
        verbs.end(job=job)
    # After the commit, and no longer than a request may take; the sweep finds what is left.
    forget = partial(results.forget_all, [job for (job,) in filed], FILES_SECONDS)
    transaction.on_commit(forget, robust=True)
    drop = partial(uploads.drop_all, [job for (job,) in uploaded], FILES_SECONDS)
    transaction.on_commit(drop, robust=True)
    Job.objects.filter(user=user).delete()
    WebhookSecret.objects.filter(user=user).delete()


@exports("jobs", Job, Item, waits=True)
def jobs(user: User) -> Iterator[dict[str, Any]]:
    """Those that are still kept, with their results, which may be far away; the calls they made are
    among the calls."""
    theirs = Job.objects.filter(user=user)
    for pk in list(theirs.order_by("created").values_list("pk", flat=True)):
        job = theirs.filter(pk=pk).first()
        if job is None:  # forgotten meanwhile
            continue
        yield {
            "id": job.pk,
            "kind": job.kind,
            "state": job.state,
            "held": format_credits(job.held),
            "spent": format_credits(job.spent),
            "created": job.created,
            "finished": job.finished,
            "webhook": job.webhook,
            "retried_from": job.retried_from_id,
            "items": [
                {
                    "call": item.call,
                    "state": item.state,
                    "input": item.input,
                    "result": results.read(item),
                    "error": item.error,
                }
                for item in job.items.all()
            ],
        }
