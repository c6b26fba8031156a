"""Providers, keys and routes in the admin: what staff may enter, and what is never shown."""

import re

import pytest
from django.contrib.admin.models import LogEntry

from tests.billing.conftest import admin, staff
from usage.models import AIModel, ModelRoute, Provider, ProviderKey
from usage.providers import load

__all__ = ["admin", "staff"]
pytestmark = pytest.mark.django_db
SECRET = "sk-mistral-" + "s3cret" * 6
ADD = "/admin/usage/provider/add/"


def form(**changes):
    sent = {
        "name": "mistral", "kind": "openai", "base_url": "https://api.mistral.ai/v1",
        "enabled": "on", "on_leaving": "cancel", "output_field": "max_tokens",
        "asks_usage": "on", "price_list": "", "keys-TOTAL_FORMS": "1", "keys-INITIAL_FORMS": "0",
        "keys-0-label": "main", "keys-0-new_secret": SECRET, "keys-0-env": "",
        "keys-0-weight": "1", "keys-0-enabled": "on",
    }  # fmt: skip
    return sent | changes


def change_form(provider, **changes):
    key = provider.keys.get()
    stored = {"keys-INITIAL_FORMS": "1", "keys-0-id": key.pk, "keys-0-provider": provider.pk}
    return form(**stored, **{"keys-0-new_secret": ""} | changes)


@pytest.fixture
def mistral(admin):
    assert admin.post(ADD, form()).status_code == 302
    return Provider.objects.get(name="mistral")


def secrets_of(name):
    return [key.secret for one in load() if one.name == name for key in one.keys]


def test_a_key_is_stored_encrypted_and_never_shown_again(admin, mistral, caplog):
    key = mistral.keys.get()
    assert SECRET not in key.secret
    assert key.shown == "sk-…cret"
    assert secrets_of("mistral") == [SECRET]
    address = f"/admin/usage/provider/{mistral.pk}/change/"
    for page in (address, "/admin/usage/provider/", f"/admin/usage/provider/{mistral.pk}/history/"):
        shown = admin.get(page, follow=True).content.decode()
        assert SECRET not in shown
        assert key.secret not in shown
    assert "sk-…cret" in admin.get(address).content.decode()
    assert not any(SECRET[:12] in entry.change_message for entry in LogEntry.objects.all())
    assert SECRET not in repr(load())
    assert SECRET not in caplog.text


def test_left_empty_it_stays_and_a_new_one_takes_its_place(admin, mistral):
    address = f"/admin/usage/provider/{mistral.pk}/change/"
    assert admin.post(address, change_form(mistral, **{"keys-0-weight": "3"})).status_code == 302
    assert secrets_of("mistral") == [SECRET]
    assert mistral.keys.get().weight == 3
    other = {"keys-0-new_secret": "another-secret-key-of-mistral"}
    assert admin.post(address, change_form(mistral, **other)).status_code == 302
    assert secrets_of("mistral") == ["another-secret-key-of-mistral"]


def test_another_address_gets_none_of_its_keys(admin, mistral):
    address = f"/admin/usage/provider/{mistral.pk}/change/"
    moved = change_form(mistral, base_url="https://evil.example/v1")
    page = admin.post(address, moved, follow=True).content.decode()
    assert "entered for another address" in page
    assert secrets_of("mistral") == []
    admin.post(address, change_form(mistral, **{"keys-0-new_secret": SECRET},
                                    base_url="https://evil.example/v1"))  # fmt: skip
    assert secrets_of("mistral") == [SECRET], "until it is entered for that one"
    back = change_form(mistral, base_url="https://evil.example/other/v1")
    assert admin.post(address, back).status_code == 302
    assert secrets_of("mistral") == [SECRET], "a path is no other server"


@pytest.mark.parametrize(
    "base_url",
    ["http://api.mistral.ai/v1", "https://me:pw@api.mistral.ai/v1", "https://a.example/?key=1",
     "ftp://a.example", "javascript:alert(1)", "https://", "api.mistral.ai", "",
     "https://a.example/#x", "https://a.exa mple/", "https://@a.example/v1"],
)  # fmt: skip
def test_an_address_no_key_should_go_to_is_refused(admin, base_url):
    assert admin.post(ADD, form(base_url=base_url)).status_code == 200
    assert not Provider.objects.filter(name="mistral").exists()


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:11434/v1", "http://localhost:8000/v1/"])
def test_plain_http_is_taken_on_loopback(admin, base_url):
    assert admin.post(ADD, form(base_url=base_url)).status_code == 302


@pytest.mark.parametrize(
    "wrong",
    [
        {"keys-0-new_secret": "", "keys-0-env": ""},
        {"keys-0-env": "MISTRAL_API_KEY"},
        {"keys-0-new_secret": "", "keys-0-env": "SECRET_KEY"},
        {"keys-0-new_secret": "", "keys-0-env": "DATABASE_URL"},
        {"keys-0-new_secret": "two words"},
        {"keys-0-new_secret": "line\r\nx-injected: 1"},
        {"keys-0-weight": "0"},
        {"price_list": "nobody"},
        {"kind": "demo"},
        {"name": "openai"},
    ],
)
def test_what_could_never_work_is_refused(admin, wrong):
    page = admin.post(ADD, form(**wrong))
    assert page.status_code == 200
    assert SECRET not in page.content.decode()
    assert not ProviderKey.objects.filter(label="main").exists()


def test_a_key_may_come_from_the_environment(admin, settings):
    settings.PROVIDER_API_KEYS = {"MISTRAL_API_KEY": "from-the-environment"}
    admin.post(ADD, form(**{"keys-0-new_secret": "", "keys-0-env": "MISTRAL_API_KEY"}))
    assert secrets_of("mistral") == ["from-the-environment"]
    settings.PROVIDER_API_KEYS = {}
    assert secrets_of("mistral") == []


def test_the_environments_own_keys_go_to_their_own_provider_only(admin, settings):
    settings.OPENAI_API_KEY = "sk-of-the-environment"
    admin.post(ADD, form(**{"keys-0-new_secret": "", "keys-0-env": "OPENAI_API_KEY"}))
    assert secrets_of("mistral") == []
    assert secrets_of("openai") == ["sk-of-the-environment"]
    Provider.objects.filter(name="openai").update(base_url="https://evil.example/v1")
    assert secrets_of("openai") == []


def test_a_price_list_brings_its_models(admin):
    admin.post(ADD, form(price_list="mistral"))
    models = AIModel.objects.filter(provider="mistral")
    assert models.count() > 3
    assert set(models.values_list("protocol", flat=True)) == {"openai"}
    assert not models.filter(prices=None).exists()


def test_the_built_in_ones_are_disabled_not_deleted(admin, mistral):
    openai = Provider.objects.get(name="openai")
    delete = "/admin/usage/provider/{}/delete/"
    assert admin.post(delete.format(openai.pk), {"post": "yes"}).status_code == 403
    many = {"action": "delete_selected", "_selected_action": [openai.pk, mistral.pk], "post": "y"}
    admin.post("/admin/usage/provider/", many)
    assert Provider.objects.filter(name="openai").exists()
    assert admin.post(delete.format(mistral.pk), {"post": "yes"}).status_code in {302, 404}
    assert not Provider.objects.filter(name="mistral").exists()


def test_only_staff_who_may_sees_them(client, staff, mistral):
    staff.is_superuser = False
    staff.save()
    client.force_login(staff)
    assert client.get(f"/admin/usage/provider/{mistral.pk}/change/").status_code in {302, 403}
    staff.is_staff = False
    staff.save()
    assert client.post(ADD, form(name="other")).status_code in {302, 403}
    assert not Provider.objects.filter(name="other").exists()


def model_form(**changes):
    sent = {
        "name": "large", "provider": "mistral", "protocol": "openai", "enabled": "on",
        "override": '{"input": "1", "output": "2"}', "markup": "", "context_window": "",
        "max_output_tokens": "", "routes-TOTAL_FORMS": "0", "routes-INITIAL_FORMS": "0",
    }  # fmt: skip
    return sent | changes


def route(place, provider, position, name=""):
    fields = {"provider": provider.pk, "position": position, "upstream_name": name}
    return {f"routes-{place}-{field}": value for field, value in fields.items()}


def test_a_model_is_added_by_hand_with_routes(admin, mistral):
    openai = Provider.objects.get(name="openai")
    routes = route(0, openai, 2) | route(1, mistral, 1, "mistral-large-latest")
    sent = model_form(**{"routes-TOTAL_FORMS": "2"}, **routes)
    assert admin.post("/admin/usage/aimodel/add/", sent).status_code == 302
    model = AIModel.objects.get(name="large")
    assert model.prices.get().source == "operator"
    found = [(r.provider.name, r.upstream_name) for r in model.routes.all()]
    assert found == [("mistral", "mistral-large-latest"), ("openai", "")]


def test_a_route_to_another_protocol_or_to_nobody_is_refused(admin, mistral):
    anthropic = Provider.objects.get(name="anthropic")
    wrong = model_form(**{"routes-TOTAL_FORMS": "1"}, **route(0, anthropic, 1))
    page = admin.post("/admin/usage/aimodel/add/", wrong)
    assert page.status_code == 200
    assert re.search("does not speak", page.content.decode())
    assert admin.post("/admin/usage/aimodel/add/", model_form(provider="nobody")).status_code == 200
    assert not ModelRoute.objects.exists()
