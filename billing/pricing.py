"""What credits cost: whole minor units of ``CURRENCY``, worked out with decimals alone.

All credits of an order cost what the tier of its quantity says (``CreditTier``). Below the lowest
tier, and without any, a credit costs ``CREDIT_PRICE_USD``, which is a price in US dollars: a
deployment with another currency sells credits from its lowest tier on and no others.
"""

from bisect import bisect_right
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from django.conf import settings

from billing.models import CreditTier
from common.errors import BadInput, Unavailable
from common.money import decimals_of, format_money

# The least that Stripe takes in one payment, minor units: https://docs.stripe.com/currencies.
# Of others it converts half a dollar on the day, and refuses by itself what is too little.
LEAST_PAYMENT = {
    "usd": 50, "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500,
    "dkk": 250, "eur": 50, "gbp": 30, "hkd": 400, "huf": 17_500, "inr": 50, "jpy": 50,
    "mxn": 1000, "myr": 200, "nok": 300, "nzd": 50, "pln": 200, "ron": 200, "sek": 300,
    "sgd": 50, "thb": 1000,
}  # fmt: skip
MOST_PAYMENT = 99_999_999  # eight digits, whatever the currency


@dataclass(frozen=True)
class Price:
    """``amount`` is minor units of ``currency`` for all of ``quantity`` credits; ``each`` is what
    one costs, in major units."""

    quantity: int
    amount: int
    currency: str
    each: Decimal


@dataclass(frozen=True)
class Tier:
    """From ``start`` credits on, one costs ``each`` (major units)."""

    start: int
    each: Decimal


@dataclass(frozen=True)
class PriceList:
    """``least`` to ``most`` credits an order, at ``tiers``, lowest first."""

    least: int
    most: int
    currency: str
    tiers: tuple[Tier, ...]


def quote(quantity: int) -> Price:
    """The price of ``quantity`` credits.

    Raises ``BadInput`` (``param`` quantity) for a number out of bounds, or whose amount Stripe
    would not take, and ``Unavailable`` while the operator sells none in this currency.
    """
    now = price_list()
    if not now.least <= quantity <= now.most:
        raise BadInput(
            f"quantity: choose from {now.least:,} to {now.most:,} {settings.CREDIT_NAME}.",
            param="quantity",
        )
    price = _price(quantity, now.currency, now.tiers)
    if price.amount > MOST_PAYMENT:
        raise BadInput(
            f"quantity: {format_money(price.amount, price.currency)} is more than one payment can "
            "be; buy fewer at a time.",
            param="quantity",
        )
    if price.amount < LEAST_PAYMENT.get(price.currency, 1):
        least = format_money(LEAST_PAYMENT[price.currency], price.currency)
        raise BadInput(
            f"quantity: {format_money(price.amount, price.currency)} is less than a payment can "
            f"be ({least}); buy more at a time.",
            param="quantity",
        )
    return price


def price_list() -> PriceList:
    """What can be bought, and at which prices. Raises ``Unavailable`` when nothing can."""
    tiers = tiers_now()
    least = max(settings.CREDITS_LEAST, tiers[0].start) if tiers else 0
    most: int = settings.CREDITS_MOST
    if tiers:
        least = _payable(least, most, tiers)
    if not tiers or least > most:
        raise Unavailable(
            f"{settings.CREDIT_NAME.capitalize()} can't be bought here yet: the operator has to "
            f"set what they cost in {settings.CURRENCY.upper()}."
        )
    return PriceList(least, most, settings.CURRENCY, tiers)


def tiers_now() -> tuple[Tier, ...]:
    """The operator's tiers, lowest first, over what holds below them; empty: none are sold."""
    rows = CreditTier.objects.order_by("from_quantity")
    tiers = tuple(Tier(row.from_quantity, row.price) for row in rows)
    if settings.CURRENCY == "usd" and (not tiers or tiers[0].start > 1):
        return (Tier(1, settings.CREDIT_PRICE_USD), *tiers)
    return tiers


def _price(quantity: int, currency: str, tiers: tuple[Tier, ...]) -> Price:
    place = bisect_right([tier.start for tier in tiers], quantity) - 1
    each = tiers[place].each
    return Price(quantity, to_minor_units(each * quantity, currency), currency, each)


def to_minor_units(amount: Decimal, currency: str) -> int:
    """Major units of a currency in what Stripe counts, rounded up to what it takes.

    Yen have no smaller unit. Of currencies with three decimals the last digit must be 0, and of
    Icelandic krónur the last two, which Stripe has kept since they had any.
    """
    step = {"isk": 100}.get(currency, 10 if decimals_of(currency) == 3 else 1)
    units = amount * 10 ** decimals_of(currency) / step
    return int(units.to_integral_value(ROUND_CEILING)) * step


def _payable(least: int, most: int, tiers: tuple[Tier, ...]) -> int:
    """The least quantity from ``least`` on that Stripe takes a payment for; above ``most``: none.

    Within a tier more credits cost more, so each tier is asked for its first that costs enough.
    """
    currency = settings.CURRENCY
    enough = Decimal(LEAST_PAYMENT.get(currency, 1)) / 10 ** decimals_of(currency)
    ends = [tier.start - 1 for tier in tiers[1:]] + [most]
    for tier, end in zip(tiers, ends, strict=True):
        start = max(least, tier.start)
        first = max(start, int((enough / tier.each).to_integral_value(ROUND_CEILING)))
        while first > start and _price(first - 1, currency, (tier,)).amount >= (
            LEAST_PAYMENT.get(currency, 1)
        ):
            first -= 1  # rounding up made less enough
        if start <= first <= end:
            return first
    return most + 1
