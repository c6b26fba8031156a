"""``sync_models``: versions of prices, and what of the operator's settings stays."""

from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.test import override_settings

from usage.models import AIModel, Price
from usage.providers import configured_providers
from usage.sync import Synced, dollars_of, sync_models

pytestmark = pytest.mark.django_db
KEYS = {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}
NONE = {"OPENAI_API_KEY": "", "ANTHROPIC_API_KEY": ""}


def sync(**settings: Any) -> Synced:
    with override_settings(**KEYS, **settings):
        return sync_models()


def latest(name: str) -> Price:
    price = AIModel.objects.get(name=name).prices.first()
    assert price is not None
    return price


def test_the_first_run_adds_every_model_with_a_price() -> None:
    done = sync()
    assert done.added == done.models == AIModel.objects.count() > 50
    assert done.repriced == 0
    assert not AIModel.objects.filter(prices=None).exists()
    price = latest("gpt-4o-mini")
    assert price.rates == price.cost_rates == {
        "base": {
            "input": 1_500_000, "cache_read": 750_000, "cache_write": 1_500_000,
            "cache_write_1h": 1_500_000, "output": 6_000_000,
        },
        "tiers": [],
    }  # fmt: skip
    assert price.source.startswith("genai-prices ")
    assert latest("claude-sonnet-4-5").rates["tiers"][0]["above"] == 200_000


def test_a_second_run_changes_nothing() -> None:
    sync()
    before = Price.objects.count()
    done = sync()
    assert (done.added, done.repriced, Price.objects.count()) == (0, 0, before)


def test_a_markup_makes_a_new_version_and_keeps_the_old_one() -> None:
    sync()
    old = latest("gpt-4o-mini")
    done = sync(PRICE_MARKUP=Decimal("1.5"))
    assert done.repriced == done.models
    new = latest("gpt-4o-mini")
    assert new.pk > old.pk
    assert new.rates["base"]["output"] == 9_000_000
    assert new.cost_rates == old.cost_rates, "what the provider asks has not changed"
    assert Price.objects.get(pk=old.pk).rates == old.rates


def test_the_price_of_a_credit_changes_every_rate() -> None:
    sync(CREDIT_PRICE_USD=Decimal("0.01"))
    assert latest("gpt-4o-mini").rates["base"]["output"] == 60_000_000


def test_what_the_operator_set_stays() -> None:
    sync()
    own = {"enabled": False, "max_output_tokens": 7, "context_window": 9, "markup": Decimal(2)}
    AIModel.objects.filter(name="gpt-4o").update(**own)
    done = sync()
    assert done.repriced == 1
    model = AIModel.objects.get(name="gpt-4o")
    assert {name: getattr(model, name) for name in own} == own
    assert latest("gpt-4o").rates["base"]["input"] == 50_000_000


def test_an_override_goes_first_and_its_absence_back() -> None:
    sync()
    model = AIModel.objects.get(name="gpt-4o")
    model.override = {"input": "1", "output": "2", "cache_read": "0.5"}
    model.save()
    assert sync().repriced == 1
    price = latest("gpt-4o")
    assert price.source == "operator"
    assert price.rates["base"] == {
        "input": 10_000_000, "cache_read": 5_000_000, "cache_write": 10_000_000,
        "cache_write_1h": 10_000_000, "output": 20_000_000,
    }  # fmt: skip
    assert sync().repriced == 0
    model.override = None
    model.save()
    assert sync().repriced == 1
    assert latest("gpt-4o").rates["base"]["input"] == 25_000_000


def test_without_any_key_there_is_the_demo_model() -> None:
    with override_settings(**NONE):
        assert configured_providers() == ["demo"]
        assert sync_models().added == 1
        (model,) = AIModel.objects.all()
        assert (model.name, model.provider, model.protocol) == ("demo", "demo", "any")
        assert sync_models().repriced == 0


def test_bounds_are_known_by_the_longest_prefix() -> None:
    sync()
    known = dict(AIModel.objects.values_list("name", "max_output_tokens"))
    assert known["gpt-4o-mini"] == 16_384
    assert known["gpt-4-turbo"] == 4_096
    assert known["gpt-4.1"] == 32_768
    assert known["claude-sonnet-4-5"] == 64_000
    assert known["claude-3-5-sonnet"] == 8_192


def test_the_command_says_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    with override_settings(**KEYS):
        call_command("sync_models")
    assert str(AIModel.objects.count()) in capsys.readouterr().out


@pytest.mark.parametrize(
    "override",
    [
        None, [], "3", {}, {"input": "1"}, {"output": "1"}, {"input": 1, "output": "1"},
        {"input": 0.5, "output": "1"}, {"input": "x", "output": "1"},
        {"input": "-1", "output": "1"}, {"input": "NaN", "output": "1"},
        {"input": "Infinity", "output": "1"},
        {"input": "1", "output": "1", "speech": "1"}, {"input": "1e9", "output": "1"},
    ],
    ids=repr,
)  # fmt: skip
def test_an_override_that_can_not_be_is_told(override: Any) -> None:
    with pytest.raises(ValueError):
        dollars_of(override)


def test_an_override_is_read_as_decimals() -> None:
    assert dollars_of({"input": "0.15", "output": "0"}) == {
        "input": Decimal("0.15"), "output": Decimal(0),
    }  # fmt: skip
    sound = {"input": "2.5", "input_audio": "6", "output": "10"}
    assert dollars_of(sound)["input_audio"] == 6
