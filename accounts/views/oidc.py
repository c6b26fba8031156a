"""The OIDC provider's endpoints, where more than allauth's own is promised: families of tokens,
codes that count once and only while the sign-in stands which gave them."""

import base64
import json
import logging
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import parse_qs, urlsplit

from allauth.idp.oidc import views as allauth_views
from allauth.idp.oidc.adapter import get_adapter
from allauth.idp.oidc.models import Client, Token
from django.conf import settings
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.db import InterfaceError, OperationalError, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.views.decorators.csrf import csrf_exempt
from redis.exceptions import RedisError

from accounts import extensions, families
from accounts.access import Credential, still_valid

logger = logging.getLogger(__name__)

CODE_SECONDS = 600  # well past a code's life
MAX_BYTES = 16 * 1024
MAX_WORD = 2048  # characters of one parameter

View = Callable[[HttpRequest], HttpResponse]


def _within_bounds(view: View) -> View:
    """POST only, small, readable; and 503 instead of a crash while a database is away."""

    @csrf_exempt
    @wraps(view)
    def bounded(request: HttpRequest) -> HttpResponse:
        if request.method != "POST":
            response = refusal("invalid_request", "This address takes POST only.", status=405)
            response["Allow"] = "POST"
            return response
        length = request.headers.get("content-length", "0")
        if (length.isdigit() and int(length) > MAX_BYTES) or len(request.body) > MAX_BYTES:
            return refusal("invalid_request", "The request is too large.", status=413)
        for name, value in request.POST.items():
            if "\0" in f"{name}{value}" or len(str(value)) > MAX_WORD:
                return refusal("invalid_request", "A parameter can't be read.")
        try:
            return view(request)
        except ValidationError:  # of ``resource`` (RFC 8707)
            return refusal("invalid_target", "resource must be an absolute address.")
        except (OperationalError, InterfaceError, RedisError) as error:
            logger.warning("tokens are out of reach: %s", type(error).__name__)
            message = "The service can't be reached for a moment; try again."
            response = refusal("temporarily_unavailable", message, status=503)
            response["Retry-After"] = "2"
            return response

    return bounded


@csrf_exempt
def authorize(request: HttpRequest) -> HttpResponse:
    """``/identity/o/authorize``: allauth's, within what is promised, and a note of the session that
    a code comes from."""
    if any("\0" in value for value in request.GET.values()):
        return refusal("invalid_request", "A parameter can't be read.")
    if wrong := _objection(request):
        return render(request, "idp/oidc/error.html", {"error": {"error": wrong}}, status=400)
    response = allauth_views.authorization(request)
    if response.status_code == 200 and not isinstance(response, TemplateResponse):
        # allauth's page that says what is wrong with the client or its redirect; the form of
        # consent, which it answers with 200 as well, is a TemplateResponse.
        response.status_code = 400
    location = response.headers.get("location", "")
    if code := _code_in(location):
        if _asks_silently(request) and not _has_consented(request):
            response["Location"] = location.replace(f"code={code}", "error=consent_required")
            return response  # and nobody is ever told the code
        cache.set(f"{_mark(code)}:session", request.session.session_key, CODE_SECONDS)
    return response


def _objection(request: HttpRequest) -> str:
    """What is wrong with an authorization request that allauth would let pass; empty if nothing.

    PKCE by S256 alone (RFC 9700, section 2.1.1), and an extension's redirect by every letter
    (section 4.1.3): allauth compares host and path, and lets a query or a user's name be added.
    """
    if "code_challenge" in request.GET and request.GET.getlist("code_challenge_method") != ["S256"]:
        return "code_challenge_method must be S256."
    client = request.GET.get("client_id", "")
    if client in settings.EXTENSION_IDS:
        redirects = extensions.redirects_of(client)
        if any(uri not in redirects for uri in request.GET.getlist("redirect_uri")):
            return "redirect_uri is not one of this extension's."
    return ""


def _asks_silently(request: HttpRequest) -> bool:
    return "none" in request.GET.get("prompt", "").split()


def _has_consented(request: HttpRequest) -> bool:
    """Whether whoever is signed in has let this client know who they are. allauth asks whether they
    let any client."""
    client = request.GET.get("client_id", "")
    if Client.objects.filter(id=client, skip_consent=True).exists():
        return True
    given = Token.objects.valid().filter(user_id=request.user.pk, client_id=client)
    scopes = {scope for token in given for scope in token.get_scopes()}
    return set(request.GET.get("scope", "openid").split()) <= scopes


def device(request: HttpRequest) -> HttpResponse:
    """``/identity/o/device``: allauth's, whose own lets other sites confirm in a person's name; a
    view that is not exempt wants a CSRF token."""
    return allauth_views.device_authorization(request)


def _code_in(address: str) -> str:
    parts = urlsplit(address)
    found = parse_qs(parts.query) | parse_qs(parts.fragment)
    return found.get("code", [""])[0]


@_within_bounds
def device_code(request: HttpRequest) -> HttpResponse:
    """``POST /identity/o/api/device/code``: allauth's, within bounds."""
    return _answer(allauth_views.device_code(request))


@_within_bounds
def token(request: HttpRequest) -> HttpResponse:
    """``POST /identity/o/api/token``: a code or a refresh token becomes new tokens, once."""
    match request.POST.get("grant_type"):
        case "refresh_token":
            return _refresh(request)
        case "authorization_code":
            return _redeem(request)
    return _answer(allauth_views.token(request))


@transaction.atomic
def _refresh(request: HttpRequest) -> HttpResponse:
    """Refusals are answers here, not exceptions, so that what they ended stays ended."""
    spent = get_adapter().hash_token(request.POST.get("refresh_token", ""))
    place = families.lock(spent)
    if place is not None and place.spent_at is not None:
        families.end(place.family_id)
        logger.warning("spent refresh token shown again", extra={"family": str(place.family_id)})
        return refusal(
            "invalid_grant",
            "This refresh token was used before. Everything signed in with it has been signed "
            "out; sign in again.",
        )
    response = allauth_views.token(request)
    if tokens := _tokens_in(response):
        if place is not None:
            families.renew(spent=spent, tokens=tokens)
        elif tokens[0].user_id is not None:
            _found(tokens)
    return _answer(response)


def _redeem(request: HttpRequest) -> HttpResponse:
    """A code counts once, however many show it at once; shown again it ends what it gave.

    An attempt that fails (another client, a wrong verifier) leaves the code to its owner.
    """
    code = request.POST.get("code")
    if not code:
        return _answer(allauth_views.token(request))  # which says so
    mark = _mark(code)
    if not cache.add(mark, "", CODE_SECONDS):
        cache.set(f"{mark}:again", True, CODE_SECONDS)
        if family := cache.get(mark):
            families.end(family)
        return refusal("invalid_grant", "This code was used before. Sign in again.")
    family = None
    try:
        response, family = _exchange(request, cache.get(f"{mark}:session"))
    finally:
        if family is None:
            cache.delete(mark)
    if family is not None:
        cache.set(mark, family.pk, CODE_SECONDS)
        if cache.get(f"{mark}:again"):  # by somebody else, while it was being redeemed
            families.end(family.pk)
            return refusal("invalid_grant", "This code was used before. Sign in again.")
    return response


@transaction.atomic
def _exchange(
    request: HttpRequest, session: str | None
) -> tuple[HttpResponse, families.TokenFamily | None]:
    """The tokens for a code of ``session``, and their family, if that is still signed in."""
    response = allauth_views.token(request)
    tokens = _tokens_in(response)
    if not tokens:
        return _answer(response), None
    user = tokens[0].user_id
    families.lock_user(user)
    if session is None or not still_valid(Credential("session", session, user)):
        transaction.set_rollback(True)
        return refusal("invalid_grant", "You have signed out meanwhile. Sign in again."), None
    return _answer(response), _found(tokens)


@_within_bounds
@transaction.atomic
def revoke(request: HttpRequest) -> HttpResponse:
    """``POST /identity/o/api/revoke``: signs out; any token of a family ends all of it.

    RFC 7009 wants it so of a refresh token, and lets it be so of an access token. One that is
    spent or has expired will do. A token of another client is refused.
    """
    place = families.lock(get_adapter().hash_token(request.POST.get("token", "")))
    client = _client_of(request)
    if place is not None and client and client != place.family.client:
        return refusal("invalid_grant", "This token was given to another client.")
    response = allauth_views.revoke(request)
    if place is not None and response.status_code == 200:
        families.end(place.family_id)
    return _answer(response)


def _client_of(request: HttpRequest) -> str:
    """The client that a request names; allauth is who lets it in or not."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(given, validate=True).decode().partition(":")[0]
        except ValueError:
            return ""
    return request.POST.get("client_id", "")


def _mark(code: str) -> str:
    return f"oidc:code:{get_adapter().hash_token(code)}"


def _found(tokens: list[Token]) -> families.TokenFamily:
    first = tokens[0]
    return families.found(user=first.user_id, client=first.client_id, tokens=tokens)


def _tokens_in(response: HttpResponse) -> list[Token]:
    """The tokens that an answer gives; none, when it is a refusal."""
    if response.status_code != 200:
        return []
    given: dict[str, Any] = json.loads(response.content)
    hashes = [
        get_adapter().hash_token(given[name])
        for name in ("access_token", "refresh_token")
        if given.get(name)
    ]
    return list(Token.objects.filter(hash__in=hashes))


def _answer(response: HttpResponse) -> HttpResponse:
    """Tokens are kept by nobody on the way (RFC 6749, section 5.1)."""
    response["Cache-Control"] = "no-store"
    return response


def refusal(error: str, message: str, *, status: int = 400) -> HttpResponse:
    """OAuth's own shape of a refusal (RFC 6749, section 5.2)."""
    body = {"error": error, "error_description": message}
    return _answer(JsonResponse(body, status=status))
