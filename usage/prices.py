"""What tokens cost: rates, usage, and the one place where a price is computed.

A rate is whole microcredits per million tokens, markup included, so that an amount is
``ceil(sum(tokens * rate) / 1,000,000)`` microcredits: integers throughout, rounded up once a call.
Nothing here touches the database or the network.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

MILLION = 1_000_000

# Disjoint: a token is in one bucket. "input" is what was neither read from nor written to a cache.
BUCKETS = ("input", "cache_read", "cache_write", "cache_write_1h", "output")
# A price that few models have: without it, sound costs what other input costs.
AUDIO = "input_audio"


@dataclass(frozen=True)
class Usage:
    """Tokens of one call. ``input`` counts all of the input; the cache counts and ``audio`` are
    parts of it. ``output`` counts all of the output; ``reasoning`` is a part of it, at the same
    price. ``audio`` is for the price alone: a call's record does not tell it apart."""

    input: int = 0
    cached: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0
    audio: int = 0

    def as_dict(self) -> dict[str, int]:
        return {
            "input": self.input,
            "cached": self.cached,
            "cache_write": self.cache_write,
            "cache_write_1h": self.cache_write_1h,
            "output": self.output,
            "reasoning": self.reasoning,
        }

    def buckets(self) -> dict[str, int]:
        """The same, each token in one bucket."""
        return {
            "input": self.input - self.cached - self.cache_write - self.cache_write_1h,
            "cache_read": self.cached,
            "cache_write": self.cache_write,
            "cache_write_1h": self.cache_write_1h,
            "output": self.output - self.reasoning,
            "reasoning": self.reasoning,
        }


@dataclass(frozen=True)
class Rates:
    """Rates of one model: ``base``, and ``tiers`` of (above, rates), highest threshold first.

    A call with more input tokens than a tier's threshold pays that tier's rates for all its
    tokens, as providers of long contexts ask (genai-prices, ``TieredPrices``).
    """

    base: Mapping[str, int]
    tiers: tuple[tuple[int, Mapping[str, int]], ...] = ()

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Rates":
        tiers = sorted(((t["above"], t["rates"]) for t in value["tiers"]), reverse=True)
        return cls(value["base"], tuple(tiers))

    def at(self, input_tokens: int) -> Mapping[str, int]:
        """The rates that hold for a call with so many input tokens."""
        for above, rates in self.tiers:
            if input_tokens > above:
                return rates
        return self.base

    def amount(self, usage: Usage) -> int:
        """What ``usage`` costs, microcredits, rounded up once."""
        rates = self.at(usage.input)
        fresh = usage.input - usage.cached - usage.cache_write - usage.cache_write_1h - usage.audio
        units = (
            fresh * rates["input"]
            + usage.cached * rates["cache_read"]
            + usage.cache_write * rates["cache_write"]
            + usage.cache_write_1h * rates["cache_write_1h"]
            + usage.output * rates["output"]
        )
        if usage.audio:
            units += usage.audio * rates.get(AUDIO, rates["input"])
        return -(-units // MILLION)

    def worst_input(self, input_tokens: int, *, writes_cache: bool) -> int:
        """The dearest that so many input tokens can be, in millionths of a microcredit."""
        rates = self.at(input_tokens)
        rate = max(rates["input"], rates["cache_read"], rates.get(AUDIO, 0))
        if writes_cache:
            rate = max(rate, rates["cache_write"], rates["cache_write_1h"])
        return input_tokens * rate

    def output_rate(self, input_tokens: int) -> int:
        """Microcredits per million output tokens, for a call of at most so many input tokens."""
        return max(self.at(input_tokens)["output"], self.base["output"])


def rate(usd_per_million: Decimal, credit_price_usd: Decimal, markup: Decimal) -> int:
    """A provider's price in US dollars per million tokens as a rate, halves rounded up."""
    credits = usd_per_million * markup / credit_price_usd
    return int((credits * MILLION).to_integral_value("ROUND_HALF_UP"))


def complete(dollars: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Dollars for every bucket: what a price list leaves out costs what its plain input costs,
    and of sound there is a price where one is told.

    Raises ``LookupError`` without a price for input and output: such a model can't be called.
    """
    if "input" not in dollars or "output" not in dollars:
        raise LookupError("no price for input and output tokens")
    write = dollars.get("cache_write", dollars["input"])
    audio = {AUDIO: dollars[AUDIO]} if AUDIO in dollars else {}
    return {
        "input": dollars["input"],
        "cache_read": dollars.get("cache_read", dollars["input"]),
        "cache_write": write,
        "cache_write_1h": dollars.get("cache_write_1h", write),
        "output": dollars["output"],
        **audio,
    }
