"""The catalog: models by name, with the price in force."""

import pytest
from django.test import override_settings

from common.errors import ModelNotFound
from usage.catalog import Catalog, load
from usage.models import AIModel, Price
from usage.prices import Usage
from usage.sync import sync_models

pytestmark = pytest.mark.django_db
BOTH = ["openai", "anthropic"]


@pytest.fixture(autouse=True)
def synced() -> None:
    with override_settings(OPENAI_API_KEY="k", ANTHROPIC_API_KEY="k"):
        sync_models()


def catalog() -> Catalog:
    return load(providers=BOTH)


def test_a_model_comes_with_its_bounds_and_prices() -> None:
    model = catalog().find("gpt-4o-mini", "openai")
    assert (model.provider, model.context_window, model.max_output_tokens) == (
        "openai", 128_000, 16_384,
    )  # fmt: skip
    assert model.rates.amount(Usage(input=1_000, output=100)) == 2_100
    assert model.price == Price.objects.filter(model__name="gpt-4o-mini").latest("id").pk


def test_the_newest_price_is_in_force() -> None:
    model = AIModel.objects.get(name="gpt-4o-mini")
    rates = {"base": dict.fromkeys(Price.objects.first().rates["base"], 7), "tiers": []}
    price = Price.objects.create(model=model, rates=rates, cost_rates=rates, source="test")
    found = catalog().find("gpt-4o-mini", "openai")
    assert found.price == price.pk
    assert found.rates.base["output"] == 7


def test_disabled_unpriced_and_keyless_models_are_not_there() -> None:
    AIModel.objects.filter(name="gpt-4o").update(enabled=False)
    Price.objects.filter(model__name="o3").delete()
    for name in ("gpt-4o", "o3", "o3-2025-04-16"):
        with pytest.raises(ModelNotFound):
            catalog().find(name, "openai")
    assert "gpt-4o-mini" not in load(providers=["anthropic"]).models


def test_dated_names_find_their_model() -> None:
    assert catalog().find("gpt-4o-mini-2024-07-18", "openai").name == "gpt-4o-mini"
    found = catalog().find("claude-sonnet-4-5-20250929", "anthropic")
    assert found.name == "claude-sonnet-4-5"


def test_a_model_of_the_other_protocol_says_where_it_answers() -> None:
    with pytest.raises(ModelNotFound, match="/v1/messages"):
        catalog().find("claude-sonnet-4-5", "openai")
    with pytest.raises(ModelNotFound, match="/v1/chat/completions"):
        catalog().find("gpt-4o", "anthropic")


def test_long_names_are_not_remembered() -> None:
    before = catalog()
    with pytest.raises(ModelNotFound) as refused:
        before.find("gpt-4o-mini-" + "x" * 100_000, "openai")
    assert len(refused.value.message) < 300


def test_models_are_listed_by_what_they_speak() -> None:
    found = catalog()
    openai = {model.name for model in found.speaking("openai")}
    anthropic = {model.name for model in found.speaking("anthropic")}
    assert "gpt-4o" in openai
    assert "claude-haiku-4-5" in anthropic
    assert not openai & anthropic


def test_a_model_that_speaks_both() -> None:
    AIModel.objects.filter(name="gpt-4o").update(protocol="any")
    assert catalog().find("gpt-4o", "anthropic").name == "gpt-4o"
    assert catalog().find("gpt-4o", "openai").name == "gpt-4o"
