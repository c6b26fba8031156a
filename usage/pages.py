"""The account's first page: plan, balance, this month; and the wallet's history."""

from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.models import User
from billing.models import Entitlement
from common.errors import BadInput
from common.money import format_credits
from common.paging import Cursor
from ledger.history import place, reason_of, transfers_of, wallet_id_of
from ledger.models import Transfer
from usage.state import state_of

ROWS = 50  # a page

_WORDS = {
    Transfer.Kind.PURCHASE: "Bought",
    Transfer.Kind.ALLOWANCE: "Your plan's allowance",
    Transfer.Kind.PROMOTION: "A present",
    Transfer.Kind.CAPTURE: "Spent",
    Transfer.Kind.ADJUSTMENT: "A call's late usage",
    Transfer.Kind.REFUND: "Given back",
    Transfer.Kind.REVOKE: "Taken back with its payment",
    Transfer.Kind.SETTLE: "What was owed",
    Transfer.Kind.EXPIRE: "Expired",
}


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


@require_safe
@never_cache
@login_required
def history(request: HttpRequest) -> HttpResponse:
    """What came into the wallet and what left it, newest first, each in words. ``?before=`` is a
    cursor to older rows; a bad one is the newest page."""
    assert isinstance(request.user, User), "the page lets nobody else in"
    wallet = wallet_id_of(request.user)
    try:
        text = request.GET.get("before", "")
        cursor = Cursor.read(text, 1) if text else None
        found = list(transfers_of(wallet, cursor, ROWS + 1)) if wallet else []
    except BadInput:
        return HttpResponseRedirect(reverse("dashboard-history"))
    shown = found[:ROWS]
    older = Cursor(place(shown[-1])) if len(found) > ROWS else None
    context = {
        "rows": [(row, reason_of(row) or _in_words(row)) for row in shown],
        "newest": cursor is not None,
        "older": urlencode({"before": str(older)}) if older else "",
        "credit_name": settings.CREDIT_NAME,
    }
    return render(request, "usage/history.html", context)


def _in_words(transfer: Transfer) -> str:
    if transfer.kind == Transfer.Kind.CAPTURE and transfer.hold_kind == "call":  # type: ignore[attr-defined]
        return "An AI call"
    return _WORDS.get(Transfer.Kind(transfer.kind), transfer.get_kind_display())
