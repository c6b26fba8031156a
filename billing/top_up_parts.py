"""The form of automatic top-up on the billing page: what it shows, and what it says."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, QueryDict

from accounts.models import User
from billing import limits, topup
from billing.wording import for_people, whole
from common.errors import BadInput, FareboxError
from common.money import format_credits, parse_credits

FIELDS = ("threshold", "bundle", "monthly_cap")
NAMES = {"threshold": "When less than", "quantity": "Buy", "monthly_cap": "At most"}
USUAL = {"threshold": "10", "bundle": "100", "monthly_cap": "500"}


def save(user: User, said: QueryDict) -> str:
    """Do what the form says; answers a sentence. Raises as ``topup.switch_on`` does."""
    if "enabled" not in said:
        topup.switch_off(user)
        return "Automatic top-up is off."
    limits.count_question(user)
    row = topup.switch_on(
        user,
        threshold=_credits(said.get("threshold", "")),
        quantity=whole(said.get("bundle", ""), "quantity"),
        monthly_cap=whole(said.get("monthly_cap", ""), "monthly_cap"),
    )
    return f"Automatic top-up is on: {row.quantity:,} {settings.CREDIT_NAME} at a time."


def _credits(text: str) -> int:
    try:
        return parse_credits(text.strip())
    except ValueError:
        raise BadInput("Type a number, such as 10 or 2.5.", param="threshold") from None


def top_up_parts(request: HttpRequest, user: User, error: FareboxError | None) -> dict[str, Any]:
    """``top_up`` of the page's context; what was typed stays after an error in this form."""
    shown = topup.shown(user)
    row = shown.row
    kept = {
        "threshold": format_credits(row.threshold).rstrip("0").rstrip("."),
        "bundle": row.quantity,
        "monthly_cap": row.monthly_cap,
    }
    fields: dict[str, Any] = kept if row.quantity else _usual()
    enabled = row.enabled
    typed = error is not None and "bundle" in request.POST
    if typed:
        fields = {name: request.POST.get(name, "") for name in FIELDS}
        enabled = "enabled" in request.POST
    return {
        "top_up": fields
        | {
            "enabled": enabled,
            "error": _problem(error) if error and typed else "",
            "param": error.param if error and typed else None,
            "url": shown.url,
            "until": shown.next_try_at,
            "said": shown.message or _said(shown.state),
            "bought": shown.month_quantity,
            "low_mail": row.low_balance_mail,
        }
    }


def _usual() -> dict[str, str]:
    """What an empty form suggests, within the bounds of an order."""
    bundle = min(max(int(USUAL["bundle"]), settings.CREDITS_LEAST), settings.CREDITS_MOST)
    return USUAL | {"bundle": str(bundle), "monthly_cap": str(5 * bundle)}


def _problem(error: FareboxError) -> str:
    name = NAMES.get(error.param or "")
    return f"{name}: {for_people(error)}" if name else error.message


def _said(state: str) -> str:
    return "A top-up is being paid now." if state == topup.State.PENDING else ""
