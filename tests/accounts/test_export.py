"""``/api/account/export``: all that is known of a user, and no secret."""

import base64
import json
import time
import tracemalloc
from datetime import timedelta

import pytest
from allauth.account.authentication import AUTHENTICATION_METHODS_SESSION_KEY
from asgiref.sync import async_to_sync, sync_to_async
from django.apps import apps
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.test import AsyncClient, Client
from django.utils import timezone

from accounts import extensions, leaving
from accounts import verbs as accounts
from accounts.models import TokenFamily, User
from accounts.recent import RECENT
from tests.accounts import history, people
from tests.accounts.history import AGENT, BLOB, EMAIL, IP, KEY_NAME, SECOND, UID
from tests.usage.calls import written
from usage.models import Call

PATH = "/api/account/export"


def relations():
    """Every model with a field that points at a user, and that field."""
    found = {User: "itself"}
    for model in apps.get_models(include_auto_created=True):
        for field in model._meta.get_fields():
            if field.concrete and field.related_model is User:
                found[model] = field.name
    return found


def test_each_model_about_users_is_exported_or_left_out_with_a_reason():
    known = leaving.exported | set(leaving.left_out)
    missing = {model._meta.label: name for model, name in relations().items() if model not in known}
    assert not missing, (
        f"{missing}: add a section by accounts.leaving.exports, or say why not by leaves_out"
    )
    assert len(relations()) > 10


def test_nothing_is_both_exported_and_left_out():
    assert not leaving.exported & set(leaving.left_out)
    assert all(len(reason) > 10 for reason in leaving.left_out.values())


@pytest.fixture
def ada(proved, settings, admin):
    settings.EXTENSION_IDS = [people.EXTENSION]
    extensions.sync()
    return history.with_everything(admin)


def take(person, **headers):
    headers = headers or {"authorization": f"Bearer {person.tokens['access_token']}"}
    return Client().get(PATH, headers=headers)


def test_all_that_is_known(ada):
    response = take(ada)
    assert response.status_code == 200
    assert response["cache-control"] == "private, no-store"
    assert "attachment" in response["content-disposition"]
    known = json.loads(response.getvalue())
    assert known["account"]["email"] == EMAIL
    assert [row["email"] for row in known["email_addresses"]] == [EMAIL, SECOND]
    assert known["linked_accounts"][0]["uid"] == UID
    assert {row["type"] for row in known["second_factors"]} == {"totp", "recovery_codes"}
    assert (IP, AGENT) in {(row["ip"], row["user_agent"]) for row in known["sessions"]}
    assert known["extensions"]["sign_ins"][0]["client"] == people.EXTENSION
    assert "email" in known["extensions"]["tokens"][0]["scopes"]
    assert {row["name"] for row in known["api_keys"]} == {KEY_NAME, f"{KEY_NAME} two"}
    assert base64.b64decode(known["backup"]["base64"]) == BLOB
    assert known["plan"]["plan"] == "pro"
    assert known["wallet"]["posted"] == "1.350000"
    assert {row["kind"] for row in known["transfers"]} >= {"purchase", "capture", "refund"}
    assert len(known["lots"]) == 4
    assert {row["status"] for row in known["calls"]} == {"completed", "failed"}
    assert known["months"][0]["requests"] == 1
    assert known["open_holds"] == []


def test_no_secret_and_nothing_of_the_staffs(ada):
    text = take(ada).getvalue().decode()
    secrets = [ada.key.secret, ada.session_token, *ada.tokens.values(), "goodwill", "staff@"]
    factors = ada.user.authenticator_set.values_list("data", flat=True)
    secrets += [value for data in factors for value in data.values() if isinstance(value, str)]
    for secret in secrets:
        assert str(secret) not in text or len(str(secret)) < 8, secret
    assert ada.user.password not in text


def test_others_are_not_in_it(ada, user, api_key):
    text = take(ada).getvalue().decode()
    assert user.email not in text
    assert api_key.key.prefix not in text


def test_an_api_key_can_not_take_it(ada):
    response = take(ada, **{"x-api-key": ada.key.secret})
    assert response.status_code == 403


def test_a_browser_and_a_headless_session_can(ada):
    for taken in (take(ada, **{"x-session-token": ada.session_token}), ada.browser.get(PATH)):
        assert json.loads(taken.getvalue())["account"]["id"] == ada.user.pk


def test_a_sign_in_of_long_ago_can_not(ada):
    long_ago = RECENT + timedelta(seconds=1)
    TokenFamily.objects.update(created_at=timezone.now() - long_ago)
    refused = take(ada)
    assert refused.status_code == 403
    assert "sign in again" in refused.json()["error"]["message"]
    for key in (ada.session_token, people.cookie_of(ada.browser)):
        session = SessionStore(key)
        for record in session[AUTHENTICATION_METHODS_SESSION_KEY]:
            record["at"] = time.time() - long_ago.total_seconds()
        session.save()
    assert take(ada, **{"x-session-token": ada.session_token}).status_code == 403
    assert ada.browser.get(PATH).status_code == 403
    deleted = ada.browser.delete(
        "/api/account", json.dumps({"confirm": EMAIL}), content_type="application/json"
    )
    assert deleted.status_code == 403
    assert User.objects.get(pk=ada.user.pk).is_active


def test_many_calls_are_read_a_few_at_a_time(user, tmp_path):
    """They go to the file as they come; all of them in memory would be some 60 MB."""
    written(user)
    with connection.cursor() as cursor:
        columns = ", ".join(f'"{f.column}"' for f in Call._meta.concrete_fields if f.name != "id")
        cursor.execute(
            f"INSERT INTO usage_call (id, {columns})"
            f" SELECT gen_random_uuid(), {columns} FROM usage_call, generate_series(1, 19999)"
        )
    tracemalloc.start()
    with (tmp_path / "export").open("wb") as file:
        leaving.write_export(user, file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(json.loads((tmp_path / "export").read_bytes())["calls"]) == 20_000
    assert peak < 10_000_000


def test_under_asgi_it_is_sent_in_pieces(user):
    """With no warning: Django warns of files that it has to read whole."""
    user.set_password(people.PASSWORD)
    user.save()
    program = AsyncClient()
    program.cookies.update(people.browser(user.email).cookies)
    for _ in range(300):
        written(user)

    async def fetch():
        response = await program.get(PATH)
        pieces = [piece async for piece in response]
        await sync_to_async(response.close)()
        return response, pieces

    response, pieces = async_to_sync(fetch)()
    assert response.status_code == 200
    assert len(pieces) > 1
    assert len(json.loads(b"".join(pieces))["calls"]) == 300


def test_nobody_knows_a_new_account_but_by_its_address(proved):
    user = accounts.create_user(email=EMAIL)
    client = Client()
    client.force_login(user)
    assert client.get(PATH).status_code == 403  # signed in without any method: never recent
