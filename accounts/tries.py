"""How often a code from a mail may be tried, counted so that tries sent at once count too.

allauth allows three wrong tries of a code and keeps their number in the session, which each request
reads, raises and writes: of many sent at the same moment each finds the number of before. Here each
try is counted in Valkey before it is looked at, in one step that nobody can come between.
"""

from collections.abc import Callable, Iterator
from typing import Any

from allauth.account.internal.flows.email_verification_by_code import (
    EMAIL_VERIFICATION_CODE_SESSION_KEY,
)
from allauth.account.internal.flows.password_reset_by_code import (
    PASSWORD_RESET_VERIFICATION_SESSION_KEY,
)
from allauth.account.internal.stagekit import LOGIN_SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.db import SessionStore
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, JsonResponse
from redis.exceptions import RedisError

from accounts import limits, presented
from common import pages

# allauth ends the wait for a code at the third wrong try; two more for what it does not count.
MOST = 5
SECONDS = 3600  # longer than any code lives

PAGES = frozenset(
    {
        "account_confirm_login_code",
        "account_email_verification_sent",
        "account_confirm_password_reset_code",
    }
)
PROGRAMS = frozenset(
    {
        "headless:app:account:confirm_login_code",
        "headless:app:account:verify_email",
        "headless:app:account:reset_password",
    }
)


class CountedTries:
    """Middleware: 429 for a try past ``MOST`` of one wait for a code. After sessions."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponse | None:
        name = request.resolver_match.view_name if request.resolver_match else ""
        if name in PAGES and request.method == "POST":
            session: SessionBase = request.session
        elif name in PROGRAMS:  # their GET takes a code, too, in a header
            session = SessionStore(presented.session_in(request.headers.get("x-session-token", "")))
        else:
            return None
        try:
            if all(_counted(session, wait) <= MOST for wait in _waits(session)):
                return None
        except RedisError as error:
            return limits.away(request, error)
        if name in PROGRAMS:
            return JsonResponse({"status": 429}, status=429)
        return pages.too_many(request)


def _counted(session: SessionBase, wait: str) -> int:
    """How many tries there were with this one."""
    key = f"tries:{session.session_key}:{wait}"
    cache.add(key, 0, SECONDS)
    return int(cache.incr(key))


def _waits(session: SessionBase) -> Iterator[str]:
    """The codes that a session waits for, by their kind and the moment the wait began: the same
    for an address that has an account and for one that has none."""
    login = session.get(LOGIN_SESSION_KEY) or {}
    stages = (login.get("state") or {}).get("stages") or {}
    by_code = (stages.get("login_by_code") or {}).get("data") or {}
    for kind, state in (
        ("login", by_code),
        ("email", session.get(EMAIL_VERIFICATION_CODE_SESSION_KEY) or {}),
        ("password", session.get(PASSWORD_RESET_VERIFICATION_SESSION_KEY) or {}),
    ):
        if "at" in state and not state.get("code_confirmed"):
            yield f"{kind}:{state['at']}"
