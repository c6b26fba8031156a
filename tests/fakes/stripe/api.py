"""The HTTP side of the API: keys, parameters, idempotency, errors, ``expand``."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from . import forms, known, render
from .errors import StripeError
from .routes import ROUTES
from .store import API_VERSION, Object, Store

_DAY = 24 * 3600  # seconds for which an idempotency key is remembered


def routes(store: Store) -> list[web.RouteDef]:
    """Every route of the table, and a 404 in Stripe's shape for all others below /v1."""
    made = [web.route(method, path, _endpoint(store, path, verb)) for method, path, verb in ROUTES]
    return [*made, web.route("*", "/v1/{rest:.*}", _endpoint(store, "", None))]


def _endpoint(store: Store, path: str, verb: Callable[..., Any] | None) -> Any:
    """``path`` is the route's, with its ``{id}``."""

    async def handle(request: web.Request) -> web.Response:
        id = store.new_id("req", 14)
        status, body, replayed = await _answer(store, request, path, verb, id)
        headers = {"Request-Id": id, "Stripe-Version": API_VERSION}
        if key := request.headers.get("Idempotency-Key"):
            headers["Idempotency-Key"] = key
        if replayed:
            headers["Idempotent-Replayed"] = "true"
        return web.json_response(body, status=status, headers=headers)

    return handle


async def _answer(
    store: Store, request: web.Request, path: str, verb: Callable[..., Any] | None, id: str
) -> tuple[int, Any, bool]:
    """Status, body, and whether they were those of an earlier call with this key."""
    raw = await request.text()
    key = request.headers.get("Idempotency-Key") if request.method == "POST" else None
    try:
        _check_key(store, request)
        if verb is None:
            raise _unknown(request)
        if key and (kept := _kept(store, key, request, raw)):
            return kept["status"], json.loads(kept["body"]), True
    except StripeError as error:
        return error.status, error.body(), False
    store.request = {"id": id, "idempotency_key": key}
    try:
        status, body = 200, _call(store, request, path, verb, raw)
    except StripeError as error:
        status, body = error.status, error.body()
        body["error"]["request_log_url"] = f"{store.base_url}/_fake/state#{id}"
        for name in ("payment_intent", "payment_method"):
            if isinstance(error.more.get(name), dict):
                body["error"][name] = render.render(store, error.more[name])
    finally:
        store.request = {"id": None, "idempotency_key": None}
    if key and status not in (401, 404) and not (status == 400 and body["error"].get("param")):
        store.idempotency[key] = {
            "print": _print(request, raw),
            "status": status,
            "body": json.dumps(body),
            "until": store.now() + _DAY,
        }
        store.dirty = True
    return status, body, False


def _call(
    store: Store, request: web.Request, path: str, verb: Callable[..., Any], raw: str
) -> Object:
    pairs = parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True)
    if raw:
        pairs += parse_qsl(raw, keep_blank_values=True)
    params = forms.parse(pairs)
    expand = params.pop("expand", [])
    known.check(request.method, path, params)
    answer = verb(store, params, **request.match_info)
    shown = answer if answer.get("object") == "list" else render.render(store, answer)
    return render.expand(store, shown, expand if isinstance(expand, list) else [expand])


def _check_key(store: Store, request: web.Request) -> None:
    kind, _, told = request.headers.get("Authorization", "").partition(" ")
    key = told.strip()
    if kind.lower() == "basic":
        try:
            key = base64.b64decode(told, validate=True).decode().split(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            key = ""
    if not key:
        raise StripeError(
            "You did not provide an API key. You need to provide your API key in the "
            "Authorization header, using Bearer auth.",
            status=401,
        )
    if not key.startswith("sk_test_"):
        shown = key[:8] + "*" * max(0, len(key) - 12) + key[-4:]
        raise StripeError(f"Invalid API Key provided: {shown}", status=401)


def _unknown(request: web.Request) -> StripeError:
    return StripeError(
        f"Unrecognized request URL ({request.method}: {request.path}). If you are trying to list "
        "objects, remove the trailing slash. If you are trying to retrieve an object, make sure "
        "you passed a valid (non-empty) identifier in your code.",
        status=404,
    )


def _print(request: web.Request, raw: str) -> str:
    return hashlib.sha256(f"{request.method} {request.path_qs}\n{raw}".encode()).hexdigest()


def _kept(store: Store, key: str, request: web.Request, raw: str) -> Object | None:
    """The answer to an earlier call with this key; StripeError if that call was another."""
    if len(key) > 255:
        raise StripeError("Idempotency keys have at most 255 characters.", type="idempotency_error")
    kept = store.idempotency.get(key)
    if kept is None or kept["until"] <= store.now():
        return None
    if kept["print"] != _print(request, raw):
        raise StripeError(
            "Keys for idempotent requests can only be used with the same parameters they were "
            f"first used with. Try using a key other than '{key}' if you meant to execute a "
            "different request.",
            type="idempotency_error",
        )
    return kept
