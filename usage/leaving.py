"""The usage's part in leaving: calls and months stay, under an id that names nobody. Imported
when the app is ready."""

from collections.abc import Iterator
from typing import Any

from accounts.leaving import exports
from accounts.models import User
from common.money import format_credits
from usage.models import Call, CallKey, MonthlyUsage

ROWS = 1000  # read at a time


@exports("calls", Call)
def calls(user: User) -> Iterator[dict[str, Any]]:
    """Every call that has ended, oldest first. Nothing is known of what was said in them."""
    for call in Call.objects.filter(user=user).order_by("started").iterator(ROWS):
        yield {
            "id": call.pk,
            "api_key": call.api_key_id,
            "model": call.model,
            "provider": call.provider,
            "status": call.status,
            "error": call.error,
            "held": format_credits(call.held),
            "spent": format_credits(call.spent),
            "by_quota": call.by_quota,
            "estimated": call.estimated,
            "input_tokens": call.input_tokens,
            "cached_tokens": call.cached_tokens,
            "output_tokens": call.output_tokens,
            "reasoning_tokens": call.reasoning_tokens,
            "started": call.started,
            "finished": call.finished,
        }


@exports("months", MonthlyUsage)
def months(user: User) -> Iterator[dict[str, Any]]:
    """By API key."""
    rows = MonthlyUsage.objects.filter(user=user).order_by("month", "id")
    for month in rows.iterator(ROWS):
        yield {
            "month": month.month,
            "api_key": month.api_key_id,
            "requests": month.requests,
            "input_tokens": month.input_tokens,
            "output_tokens": month.output_tokens,
            "spent": format_credits(month.spent),
        }


@exports("idempotency_keys", CallKey)
def idempotency_keys(user: User) -> Iterator[dict[str, Any]]:
    """Of the last day's calls, as their clients named them."""
    for kept in CallKey.objects.filter(user=user).order_by("id").iterator(ROWS):
        yield {"key": kept.key, "call": kept.call, "created": kept.created}
