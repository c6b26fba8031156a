"""What the admin's first page says of the queue, beside the books."""

from typing import Any

from django.db.models import Count, Min
from django.http import HttpRequest

from jobs.models import Job
from ledger.dashboard import dashboard as books


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's ``DASHBOARD_CALLBACK``: adds the depth of the queue, to those who may see jobs."""
    context = books(request, context)
    if request.user.has_perm("jobs.view_job"):
        open_jobs = Job.objects.filter(finished=None)
        states = open_jobs.values("state").annotate(count=Count("*"), oldest=Min("created"))
        found = {row["state"]: row for row in states.order_by("state")}
        nothing = {"count": 0, "oldest": None}
        context["queue"] = {
            state: found.get(state, nothing) for state in (Job.State.QUEUED, Job.State.RUNNING)
        }
    return context
