"""What tokens cost: integers, rounded up once a call."""

from decimal import Decimal
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage import prices
from usage.prices import Rates, Usage

BASE = {"input": 3, "cache_read": 1, "cache_write": 4, "cache_write_1h": 6, "output": 15}
LONG = {"input": 6, "cache_read": 2, "cache_write": 8, "cache_write_1h": 12, "output": 23}
MILLION = 1_000_000


def rates(*thresholds: int) -> Rates:
    """Rates of whole microcredits a token, and a dearer tier above each threshold."""
    tiers = [{"above": n, "rates": scaled(LONG, k)} for k, n in enumerate(thresholds, 1)]
    return Rates.from_json({"base": scaled(BASE, 1), "tiers": tiers})


def scaled(dollars: dict[str, int], by: int) -> dict[str, int]:
    return {name: value * MILLION * by for name, value in dollars.items()}


counts = st.integers(0, 3_000_000)
buckets = st.fixed_dictionaries(dict.fromkeys(prices.BUCKETS, counts))
random_rates = st.fixed_dictionaries({name: st.integers(0, 10**9) for name in prices.BUCKETS})


def usage_of(tokens: dict[str, int]) -> Usage:
    """Disjoint buckets as a ``Usage``, whose input counts the cached ones too."""
    return Usage(
        input=sum(tokens.values()) - tokens["output"],
        cached=tokens["cache_read"],
        cache_write=tokens["cache_write"],
        cache_write_1h=tokens["cache_write_1h"],
        output=tokens["output"],
    )


@given(buckets, random_rates)
def test_an_amount_is_the_sum_rounded_up_once(
    tokens: dict[str, int], per_million: dict[str, int]
) -> None:
    exact = sum(Fraction(tokens[name] * per_million[name], MILLION) for name in prices.BUCKETS)
    assert Rates(per_million).amount(usage_of(tokens)) == ceil(exact)


def test_each_bucket_has_its_own_price() -> None:
    for name in prices.BUCKETS:
        tokens = dict.fromkeys(prices.BUCKETS, 0) | {name: 10}
        assert rates().amount(usage_of(tokens)) == 10 * BASE[name]


def test_sound_has_a_price_of_its_own_where_one_is_told() -> None:
    heard = Usage(input=30, audio=20, output=1)
    told = Rates({**rates().base, prices.AUDIO: 7 * MILLION})
    assert told.amount(heard) == 10 * 3 + 20 * 7 + 15
    assert rates().amount(heard) == 30 * 3 + 15
    assert told.worst_input(100, writes_cache=False) == 100 * 7 * MILLION
    assert rates().worst_input(100, writes_cache=False) == 100 * 3 * MILLION


def test_no_tokens_cost_nothing_and_a_fraction_costs_one() -> None:
    cheap = Rates(dict.fromkeys(prices.BUCKETS, 1))
    assert cheap.amount(Usage()) == 0
    assert cheap.amount(Usage(output=1)) == 1
    assert cheap.amount(Usage(input=500_000, output=500_000)) == 1
    assert cheap.amount(Usage(input=500_000, output=500_001)) == 2


@pytest.mark.parametrize(("tokens", "factor"), [(0, 1), (200_000, 1), (200_001, 2), (10**7, 2)])
def test_a_tier_holds_for_all_tokens_above_its_threshold(tokens: int, factor: int) -> None:
    assert rates(200_000).amount(Usage(input=tokens)) == tokens * 3 * factor


def test_the_highest_tier_that_was_passed_counts_whatever_their_order() -> None:
    tiers = [{"above": n, "rates": scaled(LONG, k)} for n, k in ((100, 1), (300, 3), (200, 2))]
    found = Rates.from_json({"base": scaled(BASE, 1), "tiers": tiers})
    for tokens, rate in ((100, 3), (101, 6), (200, 6), (201, 12), (300, 12), (301, 18)):
        assert found.amount(Usage(input=tokens)) == tokens * rate


def test_cached_tokens_count_towards_a_threshold() -> None:
    assert rates(100).amount(Usage(input=101, cached=101)) == 101 * LONG["cache_read"]


@given(buckets, st.integers(0, 2_000_000), st.booleans())
def test_the_worst_case_is_never_less_than_the_amount(
    tokens: dict[str, int], threshold: int, writes: bool
) -> None:
    if not writes:
        tokens = tokens | {"cache_write": 0, "cache_write_1h": 0}
    usage, found = usage_of(tokens), rates(threshold)
    units = found.worst_input(usage.input, writes_cache=writes)
    units += usage.output * found.output_rate(usage.input)
    assert found.amount(usage) <= -(-units // MILLION)


@pytest.mark.parametrize(
    ("usd", "credit", "markup", "expected"),
    [
        ("0.15", "0.10", "1", 1_500_000),
        ("3", "0.10", "1", 30_000_000),
        ("3", "0.10", "1.25", 37_500_000),
        ("3", "1", "1", 3_000_000),
        ("0.0000001", "0.10", "1", 1),
        ("0.00000005", "0.10", "1", 1),
        ("0.00000004", "0.10", "1", 0),
        ("0", "0.10", "2", 0),
    ],
)
def test_dollars_become_rates(usd: str, credit: str, markup: str, expected: int) -> None:
    assert prices.rate(Decimal(usd), Decimal(credit), Decimal(markup)) == expected


def test_what_a_price_list_leaves_out_costs_what_plain_input_costs() -> None:
    told = {"input": Decimal(2), "output": Decimal(8)}
    assert prices.complete(told) == {
        "input": 2, "cache_read": 2, "cache_write": 2, "cache_write_1h": 2, "output": 8,
    }  # fmt: skip
    assert prices.complete(told | {prices.AUDIO: Decimal(6)})[prices.AUDIO] == 6
    told |= {"cache_read": Decimal(1), "cache_write": Decimal(3)}
    assert prices.complete(told)["cache_write_1h"] == 3


@pytest.mark.parametrize("missing", ["input", "output"])
def test_without_a_price_for_input_and_output_there_is_none(missing: str) -> None:
    dollars = {"input": Decimal(1), "output": Decimal(1)}
    del dollars[missing]
    with pytest.raises(LookupError):
        prices.complete(dollars)
