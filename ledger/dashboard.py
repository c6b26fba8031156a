"""What the admin's first page says of the books."""

from datetime import timedelta
from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from ledger.models import Reconciliation

STALE = timedelta(hours=3)  # reconcile runs hourly


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's ``DASHBOARD_CALLBACK``: adds the last reconciliation, to those who may see it."""
    if request.user.has_perm("ledger.view_reconciliation"):
        last = Reconciliation.objects.order_by("-id").first()
        context["reconciliation"] = last
        context["reconciliation_stale"] = last is not None and last.created < timezone.now() - STALE
        context["reconciliation_shown"] = True
    return context
