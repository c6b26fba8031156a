"""The OIDC provider's token and revocation endpoints: allauth's, and families of tokens."""

import json
import logging
from typing import Any

from allauth.idp.oidc import views as allauth_views
from allauth.idp.oidc.adapter import get_adapter
from allauth.idp.oidc.models import Token
from django.core.cache import cache
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from accounts import families

logger = logging.getLogger(__name__)

CODE_SECONDS = 600  # well past a code's life


@csrf_exempt
def token(request: HttpRequest) -> HttpResponse:
    """``POST /identity/o/api/token``: a code or a refresh token becomes new tokens, once."""
    match request.POST.get("grant_type"):
        case "refresh_token":
            return _refresh(request)
        case "authorization_code":
            return _redeem(request)
    return _answer(allauth_views.token(request))


def _refresh(request: HttpRequest) -> HttpResponse:
    spent = get_adapter().hash_token(request.POST.get("refresh_token", ""))
    with transaction.atomic():
        place = families.lock(spent)
        if place is not None and place.spent_at is not None:
            families.end(place.family_id)
            logger.warning(
                "spent refresh token shown again", extra={"family": str(place.family_id)}
            )
            return refusal(
                "This refresh token was used before. Everything signed in with it has been "
                "signed out; sign in again."
            )
        response = allauth_views.token(request)
        if place is not None and response.status_code == 200:
            families.renew(spent=spent, tokens=_tokens_in(response))
    return _answer(response)


def _redeem(request: HttpRequest) -> HttpResponse:
    """A code counts once, however many show it at once; shown again it ends what it gave."""
    code = request.POST.get("code", "")
    mark = f"oidc:code:{get_adapter().hash_token(code)}"
    if code and not cache.add(mark, "", CODE_SECONDS):
        if family := cache.get(mark):
            families.end(family)
        return refusal("This code was used before. Sign in again.")
    with transaction.atomic():
        response = allauth_views.token(request)
        if response.status_code == 200 and (tokens := _tokens_in(response)):
            user = tokens[0].user_id
            family = families.found(
                user=user, client=request.POST.get("client_id", ""), tokens=tokens
            )
            cache.set(mark, family.pk, CODE_SECONDS)
    return _answer(response)


@csrf_exempt
def revoke(request: HttpRequest) -> HttpResponse:
    """``POST /identity/o/api/revoke``: signs out; any token of a family ends all of it.

    RFC 7009 wants it so of a refresh token, and lets it be so of an access token.
    """
    place = families.place_of(get_adapter().hash_token(request.POST.get("token", "")))
    response = allauth_views.revoke(request)
    own = place is not None and place.family.client == request.POST.get("client_id", "")
    if place is not None and own and response.status_code == 200:
        families.end(place.family_id)
    return response


def _tokens_in(response: HttpResponse) -> list[Token]:
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


def refusal(message: str) -> JsonResponse:
    """OAuth's own shape of a refusal (RFC 6749, section 5.2)."""
    body = {"error": "invalid_grant", "error_description": message}
    return _answer(JsonResponse(body, status=400))  # type: ignore[return-value]
