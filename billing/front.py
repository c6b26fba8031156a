"""The front page: what this is, what it costs, and how to make a first call."""

import structlog
from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from billing.plan_offers import credit_prices, offers

log = structlog.get_logger(__name__)

DEMO_MODEL = "demo"


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Open to everybody."""
    has_provider = settings.OPENAI_API_KEY or settings.ANTHROPIC_API_KEY
    return render(
        request,
        "home.html",
        {
            "address": settings.PUBLIC_URL,
            "model": "" if has_provider else DEMO_MODEL,
            "payments": settings.ENABLE_PAYMENTS,
            "credit_name": settings.CREDIT_NAME,
            **_for_sale(),
        },
    )


def _for_sale() -> dict[str, object]:
    """Nothing while the database is away: the rest of the page does not need it."""
    try:
        prices = [price for _, price in credit_prices()]
        return {"offers": offers(), "prices": prices}
    except DatabaseError as error:
        log.warning("the front page shows no plans", error=type(error).__name__)
        return {}
