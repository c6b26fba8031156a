"""The account's pages of jobs: the list, and one of them, kept up to date by ``live.js``."""

import uuid
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts import events
from accounts.models import User
from common.errors import FareboxError, NotFound
from common.money import format_credits
from jobs import reading, retrying, uploads, verbs
from jobs.models import Delivery, Job
from usage.state import state_of

ROWS = 50


@require_safe
@never_cache
@login_required
def jobs(request: HttpRequest) -> HttpResponse:
    """The newest jobs. May raise ``Unavailable``."""
    assert isinstance(request.user, User), "the page lets nobody else in"
    found = list(reading.jobs_of(request.user, {})[: ROWS + 1])
    context = {"jobs": found[:ROWS], "more": len(found) > ROWS, "most": ROWS}
    return render(request, "jobs/list.html", context | _account(request.user))


@require_safe
@never_cache
@login_required
def job(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """One job: how far it is, what it costs, how it ended."""
    assert isinstance(request.user, User), "the page lets nobody else in"
    found = reading.detail(_job(request.user, job_id))
    failed = found.state == Job.State.FAILED
    context = {
        "job": found,
        "cancelable": not found.has_ended and found.cancel_requested_at is None,
        "retriable": failed and retrying.obstacle(found) is None,
        "retry": retrying.retry_of(found) if failed else None,
        "delivery": Delivery.objects.filter(job=found).first(),
    }
    return render(request, "jobs/job.html", context | _account(request.user))


@require_POST
@login_required
def cancel(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Cancel it, and show it again."""
    assert isinstance(request.user, User), "the page lets nobody else in"
    kind = _job(request.user, job_id).kind
    state = verbs.cancel(job=job_id)
    events.publish(request.user.pk, "job", {"id": str(job_id), "state": state})
    uploads.drop_if_over(job_id, kind, state)
    return HttpResponseRedirect(reverse("dashboard-job", args=[job_id]))


@require_POST
@login_required
def retry(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Ask again what a job that failed has asked, and show the job that does."""
    assert isinstance(request.user, User), "the page lets nobody else in"
    try:
        made = retrying.retry(_job(request.user, job_id))
    except FareboxError as error:
        messages.error(request, error.message)
        return HttpResponseRedirect(reverse("dashboard-job", args=[job_id]))
    if not made.repeated:
        state = Job.State.QUEUED.value
        events.publish(request.user.pk, "job", {"id": str(made.job), "state": state})
    return HttpResponseRedirect(reverse("dashboard-job", args=[made.job]))


def _job(user: User, job_id: uuid.UUID) -> Job:
    try:
        return reading.job_of(user, job_id)
    except NotFound:
        raise Http404 from None


def _account(user: User) -> dict[str, Any]:
    """What the page's script compares with what the socket tells."""
    state = state_of(user)
    return {
        "state": state,
        "available": format_credits(state.balance.available),
        "credit_name": settings.CREDIT_NAME,
    }
