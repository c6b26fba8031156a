"""Reading genai-prices: which models a provider has, and what each asks in US dollars.

Done once a model and version (``usage.sync``), never during a call.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from importlib.metadata import version

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

from usage.prices import complete

SOURCE = f"genai-prices {version('genai-prices')}"

_KEYS = {
    "input_mtok": "input",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_mtok": "output",
}
# Priced by more than tokens, or not callable by the routes there are.
_OTHER_KINDS = (
    "audio", "realtime", "image", "search", "transcribe", "tts", "whisper", "live", "moderation",
    "deep-research", "computer-use", "translate", "instruct", "ft",
)  # fmt: skip


@dataclass(frozen=True)
class Listed:
    """A model of a price list. Dollars are per million tokens; ``tiers`` are (above, dollars)."""

    name: str
    context_window: int
    base: dict[str, Decimal]
    tiers: tuple[tuple[int, dict[str, Decimal]], ...]


def listed(provider: str) -> Iterator[Listed]:
    """The models of ``provider`` (as genai-prices names it) that are priced by tokens alone."""
    found = next((p for p in get_snapshot().providers if p.id == provider), None)
    for model in found.models if found else ():
        if model.context_window is None or _is_other_kind(model.id):
            continue
        try:
            yield _read(model, model.get_prices(datetime.now(UTC)))
        except LookupError:
            continue


@lru_cache(maxsize=1024)
def canonical_name(provider: str, name: str) -> str | None:
    """The listed name behind a dated or alternative one; ``None`` when the list has none."""
    if _is_other_kind(name):
        return None
    try:
        _, model = get_snapshot().find_provider_model(name, None, provider, None)
    except LookupError:
        return None
    return model.id


def _is_other_kind(name: str) -> bool:
    words = set(name.lower().replace(":", "-").replace(".", "-").split("-"))
    return any(kind in words or ("-" in kind and kind in name) for kind in _OTHER_KINDS)


def _read(model: ModelInfo, prices: ModelPrice) -> Listed:
    values = {ours: getattr(prices, key, None) for key, ours in _KEYS.items()}
    starts = sorted(
        {tier.start for v in values.values() if isinstance(v, TieredPrices) for tier in v.tiers}
    )

    def at(input_tokens: int) -> dict[str, Decimal]:
        dollars = {}
        for bucket, value in values.items():
            if isinstance(value, TieredPrices):
                passed = [tier.price for tier in value.tiers if input_tokens > tier.start]
                dollars[bucket] = passed[-1] if passed else value.base
            elif value is not None:
                dollars[bucket] = value
        if "embed" in model.id:  # an answer of vectors has no tokens, and no price
            dollars.setdefault("output", Decimal(0))
        return complete(dollars)

    tiers = tuple((start, at(start + 1)) for start in starts)
    assert model.context_window is not None
    return Listed(model.id, model.context_window, at(0), tiers)
