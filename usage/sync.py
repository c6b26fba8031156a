"""Bringing the table of models and prices up to date.

The operator's settings are kept: whether a model is enabled, its markup, override and bounds.
A price that differs from the one in force becomes a new version; calls that have begun keep theirs.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import transaction

from usage import pricelist, prices
from usage.models import AIModel, Price, Provider
from usage.pricelist import Listed
from usage.providers import configured_providers

# What a model may say at most, by the longest prefix of its name: the providers' model pages.
# Where nothing is known, DEFAULT_MAX_OUTPUT_TOKENS bounds a call that names no limit.
MAX_OUTPUT = {
    "gpt-3.5": 4_096, "gpt-4": 8_192, "gpt-4-turbo": 4_096, "gpt-4o": 16_384, "gpt-4.1": 32_768,
    "chatgpt-4o": 16_384, "o1": 100_000, "o1-mini": 65_536, "o1-preview": 32_768, "o3": 100_000,
    "o4": 100_000, "gpt-5": 128_000, "gpt-6": 128_000, "claude-2": 4_096, "claude-3": 4_096,
    "claude-3-5": 8_192, "claude-3-7": 64_000, "claude-haiku-4-5": 64_000,
    "claude-sonnet-4": 64_000, "claude-opus-4": 32_000, "claude-opus-4-5": 64_000,
    "claude-opus-4-6": 128_000, "claude-opus-4-7": 128_000, "claude-opus-4-8": 128_000,
}  # fmt: skip

DEMO = Listed(
    name="demo",
    context_window=32_768,
    base=prices.complete(
        {"input": Decimal("0.5"), "cache_read": Decimal("0.05"), "output": Decimal("2")}
    ),
    tiers=(),
)


@dataclass(frozen=True)
class Synced:
    """What a run did: models known now, models made, prices that changed."""

    models: int
    added: int
    repriced: int


def sync_models() -> Synced:
    """Add what the price lists of the providers that can answer have, and put changed prices in
    force.

    A model belongs to one provider, whose list prices it: another that lists the same name is a
    fallback at most, which the operator decides.
    """
    with transaction.atomic():
        found = _listed()
        known = set(AIModel.objects.values_list("name", flat=True))
        AIModel.objects.bulk_create(
            [_model(provider, one) for provider, one in found if one.name not in known],
            ignore_conflicts=True,  # the first provider's, or those of another run just now
        )
        models = {model.name: model for model in AIModel.objects.all()}
        prices_in_force = _Prices()
        added = repriced = 0
        for provider, one in found:
            model = models[one.name]
            if model.provider != provider.name:
                continue
            made = one.name not in known
            known.add(one.name)
            added += made
            source = "built-in" if one is DEMO else pricelist.SOURCE
            repriced += prices_in_force.set(model, one.base, one.tiers, source) and not made
        for model in models.values():
            if model.override is not None:
                repriced += prices_in_force.set(model, {}, (), "")
        prices_in_force.save()
    return Synced(AIModel.objects.count(), added, repriced)


def _listed() -> list[tuple[Provider, Listed]]:
    """What the providers that can answer list."""
    return [
        (provider, one)
        for provider in Provider.objects.filter(name__in=configured_providers())
        for one in (
            [DEMO] if provider.kind == Provider.Kind.DEMO else pricelist.listed(provider.price_list)
        )
    ]


def _model(provider: Provider, found: Listed) -> AIModel:
    return AIModel(
        name=found.name,
        provider=provider.name,
        protocol=AIModel.Protocol.ANY if found is DEMO else provider.kind,
        context_window=found.context_window,
        max_output_tokens=known_max_output(found.name),
    )


class _Prices:
    """The prices in force of all models, read at once; the new ones are written at once, too."""

    def __init__(self) -> None:
        latest = Price.objects.order_by("model_id", "-id").distinct("model_id")
        self._latest = {price.model_id: price for price in latest}
        self._new: list[Price] = []

    def set(self, model: AIModel, *price: Any) -> bool:
        """As ``set_price``, once it is saved."""
        new = _new_price(model, self._latest.get(model.pk), *price)
        if new is None:
            return False
        self._latest[model.pk] = new
        self._new.append(new)
        return True

    def save(self) -> None:
        Price.objects.bulk_create(self._new)


def set_price(
    model: AIModel,
    base: Mapping[str, Decimal],
    tiers: Iterable[tuple[int, Mapping[str, Decimal]]],
    source: str,
) -> bool:
    """Put a price (US dollars per million tokens) in force; the model's override goes first.

    Returns whether it differs from the one in force before.
    """
    new = _new_price(model, model.prices.order_by("-id").first(), base, tiers, source)
    if new is None:
        return False
    new.save(force_insert=True)
    return True


def _new_price(
    model: AIModel,
    latest: Price | None,
    base: Mapping[str, Decimal],
    tiers: Iterable[tuple[int, Mapping[str, Decimal]]],
    source: str,
) -> Price | None:
    """What takes the place of ``latest``, not saved yet; ``None`` when that is the same."""
    if model.override is not None:
        base, tiers, source = prices.complete(dollars_of(model.override)), (), "operator"
    tiers = list(tiers)
    markup = settings.PRICE_MARKUP if model.markup is None else model.markup
    wanted = {
        "rates": _rates(base, tiers, markup),
        "cost_rates": _rates(base, tiers, Decimal(1)),
    }
    if latest and {"rates": latest.rates, "cost_rates": latest.cost_rates} == wanted:
        return None
    return Price(model=model, source=source, **wanted)


def dollars_of(override: Any) -> dict[str, Decimal]:
    """An operator's override read: US dollars per million tokens by bucket.

    Raises ``ValueError`` that says what is wrong with it.
    """
    if not isinstance(override, dict) or not {"input", "output"} <= set(override):
        raise ValueError('give at least {"input": "…", "output": "…"} in US dollars per million')
    dollars = {}
    for bucket, value in override.items():
        if bucket not in (*prices.BUCKETS, prices.AUDIO):
            known = ", ".join((*prices.BUCKETS, prices.AUDIO))
            raise ValueError(f"{bucket!r} is none of {known}")
        try:
            dollars[bucket] = Decimal(value) if isinstance(value, str) else Decimal("NaN")
        except InvalidOperation:
            dollars[bucket] = Decimal("NaN")
        if not dollars[bucket].is_finite() or not 0 <= dollars[bucket] <= 1_000_000:
            raise ValueError(f'{bucket}: must be a string such as "0.15"')
    return dollars


def _rates(
    base: Mapping[str, Decimal], tiers: Iterable[tuple[int, Mapping[str, Decimal]]], markup: Decimal
) -> dict[str, Any]:
    def convert(dollars: Mapping[str, Decimal]) -> dict[str, int]:
        credit = settings.CREDIT_PRICE_USD
        return {bucket: prices.rate(usd, credit, markup) for bucket, usd in dollars.items()}

    return {
        "base": convert(base),
        "tiers": [{"above": above, "rates": convert(dollars)} for above, dollars in tiers],
    }


@lru_cache(maxsize=4096)
def known_max_output(name: str) -> int | None:
    """The most output tokens that a model of this name gives by itself, where that is known."""
    known = [prefix for prefix in MAX_OUTPUT if name.startswith(prefix)]
    return MAX_OUTPUT[max(known, key=len)] if known else None
