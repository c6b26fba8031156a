"""Calls by people who are signed in, in place of a key: by an extension's token or a session's."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest
from allauth.idp.oidc.adapter import get_adapter
from allauth.idp.oidc.models import Client, Token

from accounts import extensions, keys, presented
from accounts.models import ApiKey
from accounts.presented import Presented
from common.errors import NotAuthenticated
from tests.accounts.people import EXTENSION, PASSWORD, browser, extension_tokens, session_token
from tests.fakes.providers import FakeProviders
from tests.proxy.dialects import ANTHROPIC, BOTH, OPENAI, Dialect, Reply, post
from tests.proxy.riders import Rider
from tests.proxy.server import Farebox

pytestmark = pytest.mark.xdist_group("proxy-input")
both = pytest.mark.parametrize("dialect", BOTH, ids=str)

KEY, OTHER_KEY = keys.new_key(), keys.new_key()
TOKEN, OTHER_TOKEN = "T0ken-of_30-characters-or-more", "another_" + "x" * 30
SESSION = "abcdefghijklmnopqrstuvwxyz012345"


# --- What is read from the headers ------------------------------------------------------------


def read(**headers: str) -> Presented | None:
    return presented.read(
        authorization=headers.get("authorization", ""),
        api_key=headers.get("api_key"),
        session=headers.get("session"),
    )


def hashed(token: str) -> str:
    return str(get_adapter().hash_token(token))


def test_each_kind_is_known_by_its_form() -> None:
    assert read(authorization=f"Bearer {KEY}") == Presented(digest=keys.digest(KEY))
    assert read(api_key=KEY) == Presented(digest=keys.digest(KEY))
    assert read(authorization=f"bearer  {TOKEN} ") == Presented(token=hashed(TOKEN))
    assert read(api_key=TOKEN) == Presented(token=hashed(TOKEN))
    assert read(session=SESSION) == Presented(session=SESSION)
    assert read() is None
    assert read(authorization="Basic dXNlcjpwdw==") is None


def test_a_token_may_begin_as_anything() -> None:
    for start in ("fb_", "FB_", "sk-", "sk_"):
        token = start + "x" * 83
        assert read(authorization=f"Bearer {token}") == Presented(token=hashed(token))


def test_of_several_one_counts() -> None:
    bearer = {"authorization": f"Bearer {TOKEN}"}
    assert read(**bearer, api_key=KEY, session=SESSION) == Presented(digest=keys.digest(KEY))
    assert read(**bearer, session=SESSION) == Presented(token=hashed(TOKEN))
    assert read(**bearer, api_key=OTHER_TOKEN) == Presented(token=hashed(TOKEN))
    assert read(authorization=f"Bearer {KEY}", api_key=OTHER_KEY) == read(api_key=KEY)
    assert read(authorization="Bearer none", session=SESSION) == Presented(session=SESSION)
    assert read(**bearer, session="broken") == Presented(token=hashed(TOKEN))


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"authorization": "Bearer "}, "malformed"),
        ({"authorization": "Bearer " + "x" * 19}, "malformed"),
        ({"api_key": "x" * 201}, "malformed"),
        ({"api_key": "x" * 40 + "é"}, "malformed"),
        ({"api_key": "x" * 40 + "\n"}, None),
        ({"api_key": "x" * 20 + " " + "x" * 20}, "malformed"),
        ({"api_key": KEY[:-1] + "!"}, "fb_"),
        ({"api_key": KEY.swapcase()}, "fb_"),
        ({"api_key": KEY[:-1]}, "fb_"),
        ({"api_key": KEY + "a"}, "fb_"),
        ({"authorization": "Bearer sk-proj-" + "x" * 40}, "fb_"),
        ({"session": SESSION.upper()}, "sign in again"),
        ({"session": SESSION + "a"}, "sign in again"),
        ({"session": ""}, "sign in again"),
    ],
)
def test_what_can_be_none_is_refused_without_a_query(
    headers: dict[str, str], words: str | None
) -> None:
    if words is None:  # blanks around it are no part of it
        assert read(**headers) == Presented(token=hashed("x" * 40))
        return
    with pytest.raises(NotAuthenticated, match=words):
        read(**headers)


# --- Over the socket --------------------------------------------------------------------------


@pytest.fixture
def signed_in(rider: Rider, settings: Any) -> Iterator[dict[str, str]]:
    """``{"token", "session"}`` of the rider."""
    settings.EXTENSION_IDS = [EXTENSION]
    # They sign in at this process: no server has to know the hash.
    quick = "django.contrib.auth.hashers.MD5PasswordHasher"
    settings.PASSWORD_HASHERS = [quick, *settings.PASSWORD_HASHERS]
    extensions.sync()
    rider.user.set_password(PASSWORD)
    rider.user.save()
    tokens = extension_tokens(browser(rider.user.email))
    yield {"token": tokens["access_token"], "session": session_token(rider.user.email)}
    Client.objects.all().delete()


def ask(
    farebox: Farebox, dialect: Dialect, *, key: str = "", headers: Any = None, **more: Any
) -> Reply:
    """With the dialect's own header for ``key``, or none, and ``headers``."""
    sent = dialect.headers(key) if key else {"content-type": "application/json"}
    content = json.dumps(dialect.body(**more)).encode()
    return post(farebox, dialect.path, content, {**sent, **(headers or {})})


@both
@pytest.mark.parametrize("stream", [False, True])
def test_a_paid_call_by_each_kind_of_sign_in(
    farebox: Farebox, rider: Rider, signed_in: dict[str, str], dialect: Dialect, stream: bool
) -> None:
    for headers in (
        {"authorization": f"Bearer {signed_in['token']}"},
        {"x-api-key": signed_in["token"]},
        {"x-session-token": signed_in["session"]},
    ):
        reply = ask(farebox, dialect, headers=headers, stream=stream)
        assert reply.status == 200, reply.body
        assert dialect.text(reply)
    calls = rider.calls()
    assert len(calls) == 3
    assert {call.api_key_id for call in calls} == {None}
    assert {call.status for call in calls} == {"completed"}
    assert rider.month()[0] == 3
    assert rider.spent == sum(call.spent for call in calls) > 0


# The SDK says so of claude-sonnet-4-5.
@pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")
def test_the_official_clients_take_a_token_for_a_key(
    farebox: Farebox, rider: Rider, signed_in: dict[str, str]
) -> None:
    token = signed_in["token"]
    with openai.OpenAI(api_key=token, base_url=f"{farebox.url}/v1", max_retries=0) as client:
        client.chat.completions.create(
            model=OPENAI.model, messages=[{"role": "user", "content": "Hello"}]
        )
        assert OPENAI.model in {model.id for model in client.models.list()}
    with anthropic.Anthropic(api_key=token, base_url=farebox.url, max_retries=0) as other:
        other.messages.create(
            model=ANTHROPIC.model,
            max_tokens=100,
            messages=[{"role": "user", "content": "Hello"}],
        )
        assert ANTHROPIC.model in {model.id for model in other.models.list()}
    assert len(rider.calls()) == 2


def test_a_keys_cap_bounds_the_key_and_not_the_person(
    farebox: Farebox, rider: Rider, signed_in: dict[str, str]
) -> None:
    ApiKey.objects.update(monthly_cap=0)

    assert ask(farebox, OPENAI, key=rider.secret).status == 402
    assert ask(farebox, OPENAI, key=signed_in["token"]).status == 200


def test_a_key_that_is_refused_is_not_made_good_by_a_sign_in(
    farebox: Farebox, rider: Rider, signed_in: dict[str, str]
) -> None:
    also = {"x-session-token": signed_in["session"]}
    reply = ask(farebox, OPENAI, key=keys.new_key(), headers=also)

    assert "API key" in OPENAI.assert_refused(reply, 401)
    assert rider.calls() == []


@both
def test_sign_ins_that_are_none(
    refused: Callable[..., Reply], rider: Rider, fake: FakeProviders, dialect: Dialect
) -> None:
    for token in ("x" * 30, "x" * 200):
        reply = refused(dialect, 401, key=token)
        assert "sign in again" in reply.body.decode()
        assert reply.headers["www-authenticate"] == "Bearer"


def test_a_refresh_token_opens_nothing(
    refused: Callable[..., Reply], rider: Rider, settings: Any
) -> None:
    settings.EXTENSION_IDS = [EXTENSION]
    extensions.sync()
    secret = "r" * 30
    Token.objects.create(
        type="rt", hash=hashed(secret), user=rider.user, client_id=EXTENSION, scopes="openid"
    )
    refused(OPENAI, 401, key=secret)


def test_a_quote_for_somebody_signed_in(
    farebox: Farebox, rider: Rider, signed_in: dict[str, str]
) -> None:
    for headers in (
        {"authorization": f"Bearer {signed_in['token']}"},
        {"x-session-token": signed_in["session"]},
    ):
        answer = httpx.post(f"{farebox.url}/api/quote", headers=headers, json=OPENAI.body())
        assert answer.status_code == 200
        assert answer.json()["affordable"] is True
    assert rider.calls() == []
