"""What credits cost: tiers, whole minor units, what Stripe takes."""

from decimal import Decimal

import pytest

from billing import pricing
from billing.models import CreditTier
from common.errors import BadInput, Unavailable

pytestmark = pytest.mark.django_db


def tiers(*prices):
    for start, price in prices:
        CreditTier.objects.create(from_quantity=start, price=Decimal(price))


def test_without_tiers_a_credit_costs_the_setting(settings):
    settings.CREDIT_PRICE_USD = Decimal("0.10")
    assert pricing.quote(100) == pricing.Price(100, 1000, "usd", Decimal("0.10"))


def test_every_credit_costs_what_the_tier_of_the_quantity_says():
    tiers((100, "0.0950"), (1000, "0.0899"))
    # 101 at 9.5 cents are 959.5, 999 are 9490.5, and 1001 at 8.99 are 8998.99: all rounded up.
    amounts = [pricing.quote(quantity).amount for quantity in (99, 100, 101, 999, 1000, 1001)]
    assert amounts == [990, 950, 960, 9491, 8990, 8999]


def test_decimals_are_exact():
    """As floats, 100 times 7 cents are a little above 7 dollars, and would cost a cent more."""
    tiers((1, "0.07"))
    assert pricing.quote(100).amount == 700


def test_the_bounds_are_the_settings(settings):
    settings.CREDITS_LEAST, settings.CREDITS_MOST = 10, 20
    for quantity in (9, 21, 0, -1, 2**63):
        with pytest.raises(BadInput, match="from 10 to 20") as caught:
            pricing.quote(quantity)
        assert caught.value.param == "quantity"
    assert pricing.quote(10).amount == 100
    assert pricing.quote(20).amount == 200


def test_what_stripe_would_refuse_is_not_offered(settings):
    settings.CREDITS_LEAST = 1
    tiers((1, "0.0700"), (100, "0.0040"))  # from 100 on an order may be cheaper than half a dollar
    assert pricing.price_list().least == 8  # 56 cents; 7 would be 49
    with pytest.raises(BadInput, match=r"from 8 to"):
        pricing.quote(7)
    with pytest.raises(BadInput, match=r"\$0.40 is less than a payment can be \(\$0.50\)"):
        pricing.quote(100)
    assert pricing.quote(125).amount == 50
    settings.CREDITS_MOST = 1_000_000
    tiers((500_000, "900"))
    with pytest.raises(BadInput, match="more than one payment can be"):
        pricing.quote(500_000)


@pytest.mark.parametrize(
    "currency, each, quantity, amount",
    [
        ("usd", "0.105", 7, 74),
        ("eur", "0.10", 100, 1000),
        ("jpy", "15.5", 7, 109),  # yen have no smaller unit
        ("krw", "140", 100, 14_000),
        ("kwd", "0.0301", 100, 3010),  # thousandths, the last digit 0: 3.01
        ("kwd", "0.0303", 7, 220),  # 0.2121
        ("isk", "13.5", 7, 9500),  # hundredths that must be none: 94.5
    ],
)
def test_minor_units(settings, currency, each, quantity, amount):
    assert pricing.to_minor_units(Decimal(each) * quantity, currency) == amount


def test_a_price_in_dollars_is_none_in_another_currency(settings):
    settings.CURRENCY = "eur"
    with pytest.raises(Unavailable, match="EUR"):
        pricing.quote(100)
    tiers((50, "0.09"))
    assert pricing.price_list().least == 50
    with pytest.raises(BadInput):
        pricing.quote(49)
    assert pricing.quote(50) == pricing.Price(50, 450, "eur", Decimal("0.0900"))


def test_the_least_that_is_offered_can_be_bought(settings):
    """Whatever the tiers: the least that is said is one that a quote is given for."""
    settings.CREDITS_LEAST, settings.CREDITS_MOST = 1, 10_000
    for price in ("0.0001", "0.0033", "0.0499", "0.05", "0.3333", "1", "49.9999", "50"):
        CreditTier.objects.all().delete()
        tiers((1, price))
        least = pricing.price_list().least
        assert pricing.quote(least).amount >= 50
        assert least == 1 or pricing.to_minor_units(Decimal(price) * (least - 1), "usd") < 50
