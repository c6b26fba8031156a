"""Who can answer: providers with a key that works, and the models they answer for."""

import pytest
from django.db import IntegrityError, transaction
from django.test import override_settings

from accounts import crypto
from common.errors import ModelNotFound
from tests.proxy.fleet import add_model, add_provider
from tests.proxy.server import SECRET_KEY
from usage.catalog import Route
from usage.catalog import load as load_catalog
from usage.models import AIModel, Price, Provider, ProviderKey
from usage.providers import Sealed, configured_providers, load, seal, shown, unseal
from usage.sync import sync_models

pytestmark = pytest.mark.django_db
HERE = "https://api.mistral.ai/v1"


@pytest.fixture(autouse=True)
def _no_keys(settings):
    settings.OPENAI_API_KEY = settings.ANTHROPIC_API_KEY = ""
    settings.PROVIDER_API_KEYS = {}


@pytest.fixture
def mistral():
    add_provider("mistral", HERE, {"key-of-mistral-1": 1, "key-of-mistral-2": 5})
    with override_settings(SECRET_KEY=SECRET_KEY):
        yield Provider.objects.get(name="mistral")


def test_the_built_in_one_answers_only_while_nobody_else_can(settings, mistral):
    assert configured_providers() == ["mistral"]
    mistral.keys.update(enabled=False)
    assert configured_providers() == ["demo"]
    settings.ANTHROPIC_API_KEY = "sk-ant"
    assert configured_providers() == ["anthropic"]
    mistral.keys.update(enabled=True)
    assert configured_providers() == ["anthropic", "mistral"]
    Provider.objects.filter(name="anthropic").update(enabled=False)
    assert configured_providers() == ["mistral"]


def test_keys_come_with_their_weights(mistral):
    (found,) = load()
    assert (found.name, found.kind, found.base_url, found.drains) == (
        "mistral", "openai", HERE, False,
    )  # fmt: skip
    assert [(key.secret, key.weight) for key in found.keys] == [
        ("key-of-mistral-1", 1), ("key-of-mistral-2", 5),
    ]  # fmt: skip


def test_a_key_of_another_secret_key_is_left_out_and_the_others_work(mistral, caplog):
    key = mistral.keys.first()
    with override_settings(SECRET_KEY="another-" * 10, SECRET_KEY_FALLBACKS=[]):
        ProviderKey.objects.filter(pk=key.pk).update(secret=seal("lost", HERE))
    for _ in range(2):
        assert [k.secret for k in load()[0].keys] == ["key-of-mistral-2"]
    told = [r for r in caplog.records if "key not usable" in r.getMessage()]
    assert len(told) == 1, "once, not every five seconds"


def test_a_seal_is_for_one_server():
    stored = seal("s3cret", HERE)
    assert unseal(stored, "https://api.mistral.ai:443/v2") == "s3cret"
    for other in ("https://api.mistral.ai:444/v1", "http://api.mistral.ai/v1", "https://a.ai/v1"):
        with pytest.raises(Sealed):
            unseal(stored, other)
    with pytest.raises(Sealed):
        unseal(crypto.encrypt("something else that is stored"), HERE)


@pytest.mark.parametrize(
    ("secret", "told"), [("sk-proj-0123456789abcdef", "sk-…cdef"), ("short-key", "…")]
)
def test_little_of_a_key_is_shown(secret, told):
    assert shown(secret) == told


@pytest.mark.parametrize(
    "wrong", [{"secret": "", "env": ""}, {"secret": "x", "env": "X_API_KEY"}, {"weight": 0}]
)
def test_the_database_keeps_one_source_and_a_weight(mistral, wrong):
    values = {"label": "third", "secret": "x"} | wrong
    with pytest.raises(IntegrityError), transaction.atomic():
        mistral.keys.create(**values)


def test_routes_are_those_that_can_answer_in_order(settings, mistral):
    add_model("large", [("openai", ""), ("mistral", "mistral-large-latest")])
    found = load_catalog(providers=configured_providers()).find("large", "openai")
    assert found.routes == (Route("mistral", "mistral-large-latest"),)
    assert found.provider == "mistral", "the first that can answer"
    settings.OPENAI_API_KEY = "sk"
    found = load_catalog(providers=configured_providers()).find("large", "openai")
    assert found.routes == (Route("openai"), Route("mistral", "mistral-large-latest"))
    mistral.keys.update(enabled=False)
    settings.OPENAI_API_KEY = ""
    with pytest.raises(ModelNotFound):
        load_catalog(providers=configured_providers()).find("large", "openai")


def test_a_model_without_routes_goes_to_its_provider(mistral):
    model = add_model("plain", [("mistral", "")])
    model.routes.all().delete()
    found = load_catalog(providers=configured_providers()).find("plain", "openai")
    assert found.routes == (Route("mistral"),)


def test_a_model_by_hand_is_refused_until_it_has_a_price(mistral):
    model = AIModel.objects.create(name="by-hand", provider="mistral", protocol="openai")
    sync_models()
    with pytest.raises(ModelNotFound):
        load_catalog(providers=["mistral"]).find("by-hand", "openai")
    model.override = {"input": "1", "output": "2"}
    model.save()
    sync_models()
    assert load_catalog(providers=["mistral"]).find("by-hand", "openai").rates.base["output"] == (
        20_000_000
    )


def test_a_name_in_two_lists_stays_with_the_first(settings, mistral):
    settings.OPENAI_API_KEY = "sk"
    sync_models()
    before = Price.objects.count()
    Provider.objects.filter(pk=mistral.pk).update(price_list="azure")
    sync_models()
    shared = AIModel.objects.get(name="gpt-4o")
    assert (shared.provider, shared.prices.count()) == ("openai", 1)
    assert AIModel.objects.filter(provider="mistral").exists(), "the other list has more"
    assert Price.objects.count() > before
    done = sync_models()
    assert (done.added, done.repriced) == (0, 0), "and prices do not take turns"
