"""Middleware that knows of people."""

from collections.abc import Callable

from allauth.usersessions.models import UserSession
from django.contrib.auth import get_user
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

SEEN_EVERY = 60  # seconds


class LastSeen:
    """Keeps when a session was last used, to the minute: what the list of sessions shows."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        key = request.session.session_key if hasattr(request, "session") else None
        if key and request.user.is_authenticated and note_seen(key) is False:
            _list(request)
        return response


def note_seen(session_key: str) -> bool | None:
    """Keep when a session was last used, to the minute. ``False`` when it is in no list."""
    if not cache.add(f"seen:{session_key}", 1, SEEN_EVERY):
        return None
    listed = UserSession.objects.filter(session_key=session_key)
    return listed.update(last_seen_at=timezone.now()) > 0


def _list(request: HttpRequest) -> None:
    """Put a session in the list of its user's, that no sign-in of allauth's put there: Django
    gives one a new key when staff change their own password in the admin."""
    user = get_user(request)  # read anew: who the session is of, if it still is
    if user.is_authenticated:
        request.user = user
        UserSession.objects.create_from_request(request)
