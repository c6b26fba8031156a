"""The card form, with Stripe's test cards a click away."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import escape

from ..errors import StripeError
from ..store import Store
from .serving import Form

_TESTS = (
    ("4242 4242 4242 4242", "pays"),
    ("4000 0000 0000 0002", "is declined"),
    ("4000 0000 0000 9995", "has no funds"),
    ("4000 0025 0000 3155", "asks for 3-D Secure"),
    ("4000 0000 0000 0341", "is declined later"),
    ("4000 0000 0000 0259", "is disputed later"),
)
_FILL = (
    "document.querySelectorAll('[data-card]').forEach(b=>b.addEventListener('click',()=>{"
    "const f=b.closest('form');f.number.value=b.dataset.card;"
    "f.expiry.value=f.expiry.value||'12/34';f.cvc.value=f.cvc.value||'123';"
    "f.number.focus()}))"
)


def card_fields(*, number: str = "", expiry: str = "", cvc: str = "") -> str:
    """Number, expiry and CVC, and a button for each test card that fills them in."""
    buttons = "".join(
        f'<button type="button" data-card="{card}"><span>{card}</span><span>{what}</span></button>'
        for card, what in _TESTS
    )
    return (
        f'<details open><summary>Test cards</summary><div class="tests">{buttons}</div></details>'
        + _field("number", "Card number", number, "cc-number", "1234 1234 1234 1234", 23)
        + '<div class="pair">'
        + _field("expiry", "Expiry", expiry, "cc-exp", "MM/YY", 7)
        + _field("cvc", "CVC", cvc, "cc-csc", "123", 4)
        + f"</div><script>{_FILL}</script>"
    )


def _field(name: str, label: str, value: str, autocomplete: str, example: str, most: int) -> str:
    return (
        f'<div class="field"><label for="{name}">{label}</label><input id="{name}" name="{name}" '
        f'value="{escape(value)}" autocomplete="{autocomplete}" placeholder="{example}" '
        f'inputmode="numeric" maxlength="{most}" required></div>'
    )


def number_of(store: Store, form: Form) -> str:
    """The card's digits. Raises StripeError for what Stripe's form would refuse to send."""
    number = re.sub(r"[\s-]", "", form.get("number", ""))
    if not re.fullmatch(r"[0-9]{13,19}", number):
        raise _wrong("Your card number is incomplete.", "incomplete_number")
    found = re.fullmatch(r"([0-9]{1,2})\s*/?\s*(?:20)?([0-9]{2})", form.get("expiry", ""))
    if not found or not 1 <= int(found[1]) <= 12:
        raise _wrong("Your card's expiration date is incomplete.", "incomplete_expiry")
    today = datetime.fromtimestamp(store.now(), UTC)
    if (2000 + int(found[2]), int(found[1])) < (today.year, today.month):
        raise _wrong("Your card's expiration date is in the past.", "invalid_expiry_year_past")
    if not re.fullmatch(r"[0-9]{3,4}", form.get("cvc", "")):
        raise _wrong("Your card's security code is incomplete.", "incomplete_cvc")
    return number


def _wrong(message: str, code: str) -> StripeError:
    return StripeError(message, status=402, type="card_error", code=code)
