"""Requests that allauth would fail over, refused: never a 500 because of what somebody sent."""

import json
from collections.abc import Callable
from typing import Any, NoReturn

from allauth.socialaccount.models import SocialApp
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.exceptions import SessionInterrupted
from django.http import HttpRequest, HttpResponse, JsonResponse

from common import pages

PREFIX = "/_allauth/"
# The form for a passkey takes what a browser made of it, and does not catch what can't be decoded.
PASSKEYS = frozenset(
    {
        "headless:app:mfa:manage_webauthn",
        "headless:app:mfa:signup_webauthn",
        "mfa_add_webauthn",
        "mfa_signup_webauthn",
    }
)


class ReadableBodies:
    """Middleware: JSON that nests too deep, holds half a surrogate pair or a number that is none is
    bad input before any view looks at it."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponse | None:
        if not request.path_info.startswith(PREFIX) or request.method in {"GET", "HEAD"}:
            return None
        if request.body and not _is_readable(request.body):
            return _refused("The body can't be read; send plain JSON.")
        return None

    def process_exception(self, request: HttpRequest, exc: Exception) -> HttpResponse | None:
        if isinstance(exc, SocialApp.DoesNotExist):  # a provider that has no client here
            return pages.not_found(request, exc)
        ended = isinstance(exc, UpdateError | SessionInterrupted)
        if ended and request.path_info.startswith(PREFIX):  # meanwhile, by somebody else
            request.session = SessionStore()  # or the ended one would be saved again
            return JsonResponse({"status": 410}, status=410)
        name = request.resolver_match.view_name if request.resolver_match else ""
        if name not in PASSKEYS or not isinstance(exc, ValueError | KeyError | TypeError):
            return None
        if name == "headless:app:mfa:signup_webauthn" and exc.args == ("user",):
            return JsonResponse({"status": 409}, status=409)  # no sign-up waits for a passkey
        return _refused("This passkey can't be read; try again.")


def _is_readable(body: bytes) -> bool:
    try:
        data = json.loads(body.decode(), parse_constant=_no_number)
        text = json.dumps(data, ensure_ascii=False)  # escapes control characters, and no others
        return text.isascii() or bool(text.encode())
    except (ValueError, RecursionError):
        return False


def _no_number(text: str) -> NoReturn:
    raise ValueError(text)


def _refused(message: str) -> HttpResponse:
    errors = [{"message": message, "code": "invalid"}]
    return JsonResponse({"status": 400, "errors": errors}, status=400)
