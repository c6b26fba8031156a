"""seed_demo: run it as often as you like."""

import json
import stat
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts import verbs as accounts
from accounts.models import ApiKey, User
from ledger.balances import balance_of
from usage.models import AIModel

pytestmark = pytest.mark.django_db


@pytest.fixture
def home(tmp_path, settings):
    settings.FAREBOX_HOME = tmp_path / "home"
    settings.DEBUG = True
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return settings.FAREBOX_HOME


def seed():
    out = StringIO()
    call_command("seed_demo", stdout=out, stderr=StringIO())
    assert out.getvalue().count("\n") == 1
    return json.loads(out.getvalue())


def test_somebody_to_try_it_as(home, client):
    demo = seed()
    assert set(demo) == {"email", "password", "api_key", "model"}
    assert (demo["email"], demo["model"]) == ("demo@farebox.test", "demo")
    me = client.get("/api/me", headers={"x-api-key": demo["api_key"]}).json()
    assert me["balance"]["available"] == "5.000000"
    assert client.login(username=demo["email"], password=demo["password"])
    assert client.get("/admin/").status_code == 200
    kept = home / "demo.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert json.loads(kept.read_text())["api_key"] == demo["api_key"]


def test_again_changes_nothing(home):
    assert seed() == seed()
    user = User.objects.get()
    assert balance_of(user).posted == 5_000_000
    assert ApiKey.objects.count() == 1


@pytest.mark.parametrize("content", [None, "", "[]", '{"api_key": 5, "password": null}'])
def test_a_lost_or_broken_file_brings_a_new_key_and_ends_the_old(home, content):
    first = seed()
    if content is None:
        (home / "demo.json").unlink()
    else:
        (home / "demo.json").write_text(content)
    second = seed()
    assert second["api_key"] != first["api_key"]
    assert second["password"] != first["password"]
    assert [key.is_active for key in ApiKey.objects.order_by("created_at")] == [False, True]
    assert balance_of(User.objects.get()).posted == 5_000_000


def test_a_revoked_key_is_replaced(home):
    first = seed()
    accounts.revoke_key(key=ApiKey.objects.get())
    second = seed()
    assert second["api_key"] != first["api_key"]
    assert second["password"] == first["password"]


def test_the_admin_is_for_development_only(home, settings):
    seed()
    assert User.objects.get().is_superuser
    settings.DEBUG = False
    seed()
    user = User.objects.get()
    assert (user.is_superuser, user.is_staff) == (False, False)


def test_where_payments_are_real_there_is_no_demo(home, settings):
    settings.DEBUG, settings.ENABLE_PAYMENTS, settings.ALLOW_DEMO = False, True, False
    with pytest.raises(CommandError):
        seed()
    assert not User.objects.exists()
    settings.ALLOW_DEMO = True
    seed()


def test_with_a_provider_the_model_is_one_of_its_own(home, settings):
    seed()
    settings.OPENAI_API_KEY = "sk-test"
    demo = seed()
    model = AIModel.objects.get(name=demo["model"])
    assert model.provider == "openai"
    assert model.prices.exists()
