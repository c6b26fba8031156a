"""Money and prices as people write them."""

from decimal import Decimal

import pytest

from common.money import format_money, format_price, shown_credits


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        (900, "usd", "$9.00"),
        (5, "USD", "$0.05"),
        (0, "eur", "€0.00"),
        (-1250, "gbp", "-£12.50"),
        (123_456_789, "usd", "$1,234,567.89"),
        (900, "jpy", "¥900"),
        (1500, "kwd", "1.500 KWD"),
        (120_000, "chf", "1,200.00 CHF"),
    ],
)
def test_money(amount, currency, shown):
    assert format_money(amount, currency) == shown


@pytest.mark.parametrize(
    ("price", "currency", "shown"),
    [
        ("0.1", "usd", "$0.10"),
        ("0.0950", "usd", "$0.095"),
        ("100", "usd", "$100.00"),
        ("1234.5", "eur", "€1,234.50"),
        ("15", "jpy", "¥15"),
        ("0.5", "jpy", "¥0.5"),
        ("0.1", "chf", "0.10 CHF"),
    ],
)
def test_price_of_one(price, currency, shown):
    assert format_price(Decimal(price), currency) == shown


@pytest.mark.parametrize(
    ("microcredits", "shown"),
    [
        (0, "0"),
        (1, "0.000001"),
        (100_000_000, "100"),
        (1_012_500_000, "1,012.5"),
        (2**53, "9,007,199,254.740992"),
        (-500_000, "-0.5"),
        (-1_500_000_000, "-1,500"),
    ],
)
def test_credits_as_people_read_them(microcredits, shown):
    assert shown_credits(microcredits) == shown
