"""The account's first page: plan, balance, this month."""

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.models import User
from billing.models import Entitlement
from common.money import format_credits
from usage.state import state_of


@require_safe
@never_cache
@login_required
def overview(request: HttpRequest) -> HttpResponse:
    """What ``/api/me`` tells, for people. May raise ``Unavailable``."""
    assert isinstance(request.user, User), "the page lets nobody else in"
    state = state_of(request.user)
    context = {
        "state": state,
        "status": Entitlement.Status(state.plan.status).label,
        "available": format_credits(state.balance.available),
        "credit_name": settings.CREDIT_NAME,
    }
    return render(request, "usage/overview.html", context)
