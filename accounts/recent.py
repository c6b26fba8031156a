"""Whether somebody has just shown who they are: asked before what a thief of a sign-in would do.

A session counts from its last sign-in or re-authentication, as allauth records them in it; an
extension's sign-in from the moment its family of tokens began.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from functools import wraps

from allauth.account.authentication import get_authentication_records
from allauth.account.internal.flows.reauthentication import is_reauthentication_required
from allauth.core.exceptions import ReauthenticationRequired
from django.contrib.auth.views import redirect_to_login
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone
from django.views.decorators.cache import never_cache

from accounts.access import Credential
from accounts.models import TokenFamily, User
from common.errors import PermissionRefused

RECENT = timedelta(minutes=10)
AGAIN = (
    f"For this, sign in again or re-authenticate, and repeat it within "
    f"{RECENT.seconds // 60} minutes."
)


def require_recent(credential: Credential) -> None:
    """Raises ``PermissionRefused`` unless the sign-in behind ``credential`` is recent. An API key's
    never is."""
    match credential.kind:
        case "session":
            request = HttpRequest()
            request.session = SessionStore(credential.value)
            recent = _is_recent(request, User(pk=credential.user))
        case "token":
            recent = TokenFamily.objects.filter(
                tokens__hash=credential.value, created_at__gt=timezone.now() - RECENT
            ).exists()
        case _:
            recent = False
    if not recent:
        raise PermissionRefused(AGAIN)


def _is_recent(request: HttpRequest, user: User) -> bool:
    """By the last of what ``request.session`` says that ``user`` proved themselves with."""
    records = get_authentication_records(request, user)
    last = max((record["at"] for record in records), default=0.0)
    return bool(time.time() - last < RECENT.total_seconds())


View = Callable[..., HttpResponseBase]


def confirmed(view: View) -> View:
    """A page for whoever is signed in and has just confirmed who they are; others are asked first:
    for a password or a second factor, and who has neither, to sign in again (the adapter)."""

    @never_cache
    @wraps(view)
    def asked(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        if is_reauthentication_required(request, app="account"):
            raise ReauthenticationRequired
        return view(request, *args, **kwargs)

    return asked
