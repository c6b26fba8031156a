"""Amounts: whole microcredits inside, strings of credits with six decimals at the edge.

1 credit = 1,000,000 microcredits. No float ever holds an amount.
"""

import re
from decimal import Decimal

MICRO = 1_000_000
MAX_AMOUNT = 2**53  # 9,007,199,254 credits; an exact integer in every JSON reader

_CREDITS = re.compile(r"(\d{1,12})(?:\.(\d{1,6}))?", re.ASCII)


def format_credits(microcredits: int) -> str:
    """``1_500_000`` -> ``"1.500000"``; negative amounts carry a minus sign."""
    whole, rest = divmod(abs(microcredits), MICRO)
    return f"{'-' if microcredits < 0 else ''}{whole}.{rest:06d}"


def parse_credits(text: object) -> int:
    """A string of credits such as ``"5"`` or ``"0.25"`` in microcredits.

    Raises ``ValueError`` for anything else: signs, exponents, blanks, more than six decimals,
    numbers that are not strings, amounts above ``MAX_AMOUNT``.
    """
    match = _CREDITS.fullmatch(text) if isinstance(text, str) else None
    if not match:
        raise ValueError('must be a string of credits such as "5" or "0.250000"')
    amount = int(match[1]) * MICRO + int((match[2] or "").ljust(6, "0"))
    if amount > MAX_AMOUNT:
        raise ValueError("is too large")
    return amount


def usd_to_microcredits(usd: Decimal, credit_price_usd: Decimal) -> int:
    """US dollars in microcredits at a price per credit, halves rounded up."""
    return int((usd / credit_price_usd * MICRO).to_integral_value("ROUND_HALF_UP"))
