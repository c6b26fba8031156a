"""Reading what people type into the billing pages, and telling them what was wrong with it."""

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
