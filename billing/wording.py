"""Reading what people type into the billing pages, and telling them of it in their words."""

from datetime import UTC, datetime

from common.errors import BadInput, FareboxError


def whole(text: str, param: str) -> int:
    """A whole number as people type it: ``"1,000"``. Raises ``BadInput``."""
    digits = text.strip().replace(",", "").replace(" ", "")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 9):
        raise BadInput("Type a whole number, such as 100.", param=param)
    return int(digits)


def for_people(error: FareboxError) -> str:
    """An error's message without the field's name that programs want in front of it."""
    text = error.message
    if error.param:
        text = text.removeprefix(f"{error.param}: ")
    return text[:1].upper() + text[1:]


def day(instant: datetime) -> str:
    """``"5 December 2026"``, UTC: the same wherever it is read."""
    when = instant.astimezone(UTC)
    return f"{when.day} {when:%B %Y}"
