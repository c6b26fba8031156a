"""Amounts: whole microcredits inside, strings of credits with six decimals at the edge.

1 credit = 1,000,000 microcredits. No float ever holds an amount.
"""

import re
from decimal import Decimal

MICRO = 1_000_000
MAX_AMOUNT = 2**53  # 9,007,199,254 credits; an exact integer in every JSON reader

_MONEY = re.compile(r"(\d{1,9})(?:\.(\d{1,3}))?", re.ASCII)
_CREDITS = re.compile(r"(\d{1,12})(?:\.(\d{1,6}))?", re.ASCII)


def format_credits(microcredits: int) -> str:
    """``1_500_000`` -> ``"1.500000"``; negative amounts carry a minus sign."""
    whole, rest = divmod(abs(microcredits), MICRO)
    return f"{'-' if microcredits < 0 else ''}{whole}.{rest:06d}"


def shown_credits(microcredits: int) -> str:
    """As people read it: ``1_012_500_000`` is ``"1,012.5"``, ``100_000_000`` ``"100"``."""
    whole, _, rest = format_credits(microcredits).partition(".")
    sign, rest = "-" if microcredits < 0 else "", rest.rstrip("0")
    return f"{sign}{abs(int(whole)):,}{'.' if rest else ''}{rest}"


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


# Of ISO 4217, the currencies whose minor unit is no hundredth; as Stripe counts them too.
_NO_DECIMALS = frozenset(
    ("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv",
     "xaf", "xof", "xpf")
)  # fmt: skip
_THREE_DECIMALS = frozenset(("bhd", "jod", "kwd", "omr", "tnd"))
_SIGNS = {
    "usd": "$", "eur": "€", "gbp": "£", "jpy": "¥", "inr": "₹", "krw": "₩", "cad": "CA$",
    "aud": "A$", "nzd": "NZ$", "brl": "R$", "mxn": "MX$", "ils": "₪", "vnd": "₫",
}  # fmt: skip


def decimals_of(currency: str) -> int:
    """How many decimals an amount of ``currency`` (``"usd"``) is written with."""
    currency = currency.lower()
    return 0 if currency in _NO_DECIMALS else 3 if currency in _THREE_DECIMALS else 2


def format_money(amount: int, currency: str) -> str:
    """Minor units of ``currency`` as people write them: ``900, "usd"`` is ``"$9.00"``,
    ``120000, "chf"`` ``"1,200.00 CHF"``, ``900, "jpy"`` ``"¥900"``."""
    places = decimals_of(currency)
    whole, rest = divmod(abs(amount), 10**places)
    number = f"{whole:,}" + (f".{rest:0{places}d}" if places else "")
    return ("-" if amount < 0 else "") + _with_sign(number, currency)


def format_price(price: Decimal, currency: str) -> str:
    """A price in major units, such as one credit's, with as many decimals as it has and no fewer
    than prices are written with: ``0.0950, "usd"`` is ``"$0.095"``, ``0.1`` ``"$0.10"``."""
    whole, _, rest = f"{price.normalize():,f}".partition(".")
    rest = rest.ljust(decimals_of(currency), "0")
    return _with_sign(f"{whole}.{rest}" if rest else whole, currency)


def _with_sign(number: str, currency: str) -> str:
    sign = _SIGNS.get(currency.lower())
    return f"{sign}{number}" if sign else f"{number} {currency.upper()}"


def plain_money(amount: int, currency: str) -> str:
    """Minor units as a bare number, as a form takes it: ``900, "usd"`` is ``"9.00"``."""
    places = decimals_of(currency)
    whole, rest = divmod(amount, 10**places)
    return f"{whole}.{rest:0{places}d}" if places else str(whole)


def parse_money(text: str, currency: str) -> int:
    """What a person types for an amount of ``currency`` in minor units: ``"9"`` and ``"9.00"`` are
    900 US cents. Raises ``ValueError`` for anything else: signs, grouping, too many decimals."""
    places = decimals_of(currency)
    match = _MONEY.fullmatch(text)
    if not match or len(match[2] or "") > places:
        raise ValueError(f'must be an amount such as "{plain_money(9 * 10**places, currency)}"')
    return int(match[1]) * 10**places + int((match[2] or "0").ljust(places, "0"))


def usd_to_microcredits(usd: Decimal, credit_price_usd: Decimal) -> int:
    """US dollars in microcredits at a price per credit, halves rounded up."""
    return int((usd / credit_price_usd * MICRO).to_integral_value("ROUND_HALF_UP"))
