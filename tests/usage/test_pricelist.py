"""Reading genai-prices: known prices, written here by hand from the providers' pages."""

from decimal import Decimal

import pytest

from usage.pricelist import Listed, canonical_name, listed


def find(provider: str, name: str) -> Listed:
    (found,) = [model for model in listed(provider) if model.name == name]
    return found


def dollars(*values: str) -> dict[str, Decimal]:
    names = ("input", "cache_read", "cache_write", "cache_write_1h", "output")
    return dict(zip(names, map(Decimal, values), strict=True))


@pytest.mark.parametrize(
    ("provider", "name", "window", "expected"),
    [
        ("openai", "gpt-4o-mini", 128_000, ("0.15", "0.075", "0.15", "0.15", "0.6")),
        ("openai", "gpt-4o", 128_000, ("2.5", "1.25", "2.5", "2.5", "10")),
        ("anthropic", "claude-sonnet-4-5", 200_000, ("3", "0.3", "3.75", "6", "15")),
        ("anthropic", "claude-haiku-4-5", 200_000, ("1", "0.1", "1.25", "2", "5")),
    ],
)
def test_known_prices(provider: str, name: str, window: int, expected: tuple[str, ...]) -> None:
    found = find(provider, name)
    assert (found.base, found.context_window) == (dollars(*expected), window)


def test_a_long_context_has_a_tier() -> None:
    long = dollars("6", "0.6", "7.5", "12", "22.5")
    assert find("anthropic", "claude-sonnet-4-5").tiers == ((200_000, long),)


@pytest.mark.parametrize(
    "kind", ["audio", "realtime", "search", "image", "transcribe", "tts", "deep-research"]
)
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_what_is_not_priced_by_tokens_alone_is_left_out(provider: str, kind: str) -> None:
    names = [model.name for model in listed(provider)]
    assert len(names) > 10
    assert not any(kind in name for name in names)


def test_every_price_is_whole_and_tiers_are_dearer() -> None:
    for provider in ("openai", "anthropic"):
        for model in listed(provider):
            for price in (model.base, *(tier for _, tier in model.tiers)):
                assert set(price) == set(dollars("0", "0", "0", "0", "0"))
                assert (price["output"] > 0) is ("embedding" not in model.name)
            for _, tier in model.tiers:
                assert all(tier[name] >= model.base[name] for name in tier)


def test_embeddings_cost_their_input_alone() -> None:
    small = find("openai", "text-embedding-3-small")
    assert (small.base, small.context_window) == (dollars(*["0.02"] * 4, "0"), 8_192)


def test_an_unknown_provider_lists_nothing() -> None:
    assert list(listed("nobody")) == []


@pytest.mark.parametrize(
    ("provider", "name", "expected"),
    [
        ("openai", "gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("openai", "gpt-4o-2024-11-20", "gpt-4o"),
        ("openai", "gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),  # dearer than its successors
        ("anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("openai", "o1-pro", "o1-pro"),
        ("openai", "gpt-5-pro", "gpt-5-pro"),
        ("openai", "gpt-4-32k", "gpt-4-32k"),
        ("openai", "claude-sonnet-4-5", None),
        ("anthropic", "gpt-4o", None),
        ("openai", "ft:gpt-4o-mini:org::id", None),
        ("openai", "gpt-4o-realtime-preview", None),
        ("openai", "gpt-4o-search-preview", None),
        ("openai", "", None),
        ("openai", "nonsense", None),
    ],
)
def test_other_names_of_a_model(provider: str, name: str, expected: str | None) -> None:
    assert canonical_name(provider, name) == expected
