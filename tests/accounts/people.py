"""Signing in as people and extensions do, by allauth's own addresses.

Every ``Visitor`` comes from an address of its own, so that limits by address don't meet."""

import base64
import hashlib
import itertools
import json
import random
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.test import Client

PASSWORD = "correct horse battery"
OTHER_PASSWORD = "staple battery horse"
EXTENSION = "a" * 32
REDIRECT = f"https://{EXTENSION}.chromiumapp.org/cb"
VERIFIER = "v" * 64
APP = "/_allauth/app/v1"

T = TypeVar("T")
_numbers = itertools.count(random.randrange(2**24))


def visitor(**options: Any) -> Client:
    """A browser, or a program, from somewhere else than all others."""
    number = next(_numbers) % 2**24
    place = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return Client(REMOTE_ADDR=place, **options)


def apart(work: Callable[[], T]) -> Callable[[], T]:
    """``work`` for a thread of its own, which gives its database connection back."""

    def work_and_leave() -> T:
        try:
            return work()
        finally:
            connection.close()

    return work_and_leave


# --- The headless API -------------------------------------------------------------------------


def app(client: Client, method: str, path: str, body: Any = None, token: str | None = None) -> Any:
    """Ask the headless API, as a program with a session's token does."""
    headers = {"x-session-token": token} if token else {}
    return client.generic(
        method,
        f"{APP}/{path}",
        data=_json(body),
        content_type="application/json",
        headers=headers,
    )


def _json(body: Any) -> bytes:
    return b"" if body is None else json.dumps(body).encode()


def session_token(email: str, password: str = PASSWORD) -> str:
    """Sign in by the headless API; the token that is then signed in."""
    answer = app(visitor(), "POST", "auth/login", {"email": email, "password": password})
    assert answer.status_code == 200, answer.content
    return str(answer.json()["meta"]["session_token"])


def code_sent(token: str) -> str:
    """The code that was sent by mail, and that the session waits for."""

    def find(value: Any) -> str | None:
        if not isinstance(value, dict):
            return None
        if isinstance(value.get("code"), str):
            return str(value["code"])
        return next(filter(None, map(find, value.values())), None)

    code = find(dict(SessionStore(token).load()))
    assert code, "this session waits for no code"
    return code


# --- Pages ------------------------------------------------------------------------------------


def browser(email: str, password: str = PASSWORD) -> Client:
    """Somebody signed in by the page."""
    client = visitor()
    answer = client.post("/accounts/login/", {"login": email, "password": password})
    assert answer.status_code == 302, answer.content
    assert "sessionid" in client.cookies
    return client


def cookie_of(client: Client) -> str:
    return str(client.cookies["sessionid"].value)


# --- An extension -----------------------------------------------------------------------------


def authorization(**changes: str) -> dict[str, str]:
    """The parameters of the extension's authorization request."""
    digest = hashlib.sha256(VERIFIER.encode()).digest()
    return {
        "client_id": EXTENSION,
        "response_type": "code",
        "redirect_uri": REDIRECT,
        "scope": "openid email",
        "state": "state",
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    } | changes


def code_by(client: Client, **changes: str) -> str:
    """The code that a signed-in browser brings back to the extension."""
    answer = client.get("/identity/o/authorize", authorization(**changes))
    assert answer.status_code == 302, answer.content
    assert answer["location"].startswith(REDIRECT), answer["location"]
    return parse_qs(urlsplit(answer["location"]).query)["code"][0]


def redemption(code: str, **changes: str) -> dict[str, str]:
    return {
        "grant_type": "authorization_code",
        "client_id": EXTENSION,
        "redirect_uri": REDIRECT,
        "code": code,
        "code_verifier": VERIFIER,
    } | changes


def renewal(refresh_token: str, **changes: str) -> dict[str, str]:
    return {
        "grant_type": "refresh_token",
        "client_id": EXTENSION,
        "refresh_token": refresh_token,
    } | changes


def ask_token(body: dict[str, str], **more: Any) -> Any:
    return visitor().post("/identity/o/api/token", body, **more)


def revoke(token: str, client_id: str = EXTENSION, **more: Any) -> Any:
    body = {"token": token} | ({"client_id": client_id} if client_id else {})
    return visitor().post("/identity/o/api/revoke", body, **more)


def extension_tokens(client: Client) -> dict[str, Any]:
    """What the extension has after a sign-in through ``client``, a signed-in browser."""
    answer = ask_token(redemption(code_by(client)))
    assert answer.status_code == 200, answer.content
    return dict(answer.json())
