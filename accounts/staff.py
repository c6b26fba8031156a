"""Staff: who is let into ``/admin/``, and what they need for it.

Outside ``DEBUG`` each page of the admin wants a second factor: an authenticator app or a passkey,
set up for the account, and used in this very session within ``STAFF_SESSION_SECONDS``. Whoever has
none is led to set one up; whoever used theirs too long ago is asked for it again.
"""

import time
from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import urlencode

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.core.exceptions import PermissionDenied
from django.db.models.signals import post_save, pre_delete
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from accounts import verbs
from accounts.models import User
from common.errors import PermissionRefused

FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
NEEDED = "Staff need a second factor: set one up here, then open the admin again."
NEEDED_FOR_KEYS = "Staff need a second factor to make service keys: set one up first."
LAST_FACTOR = "Staff need a second factor: add another one before you remove this."
# Leaving the admin must always be possible.
OPEN = ("logout/", "jsi18n/")


def watch() -> None:
    """Connect to the making of users and the end of factors; when apps are ready."""
    post_save.connect(_vouch_for_superuser, sender=User, dispatch_uid="staff:superuser")
    pre_delete.connect(_keep_last_factor, sender=Authenticator, dispatch_uid="staff:factor")


def _vouch_for_superuser(instance: User, created: bool, raw: bool, **_: Any) -> None:
    """Whoever can run ``createsuperuser`` vouches for the address, as with ``create_account``."""
    if created and not raw and instance.is_superuser:
        verbs.vouch_for(user=instance)


class StaffDoor:
    """Middleware in front of the admin; see the module's docstring. After authentication."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.STAFF_MFA_REQUIRED and _is_guarded(request.path):
            user = request.user
            if isinstance(user, User) and user.is_staff:
                return _led_elsewhere(request, user) or self.get_response(request)
        return self.get_response(request)


def _is_guarded(path: str) -> bool:
    door = reverse("admin:index")
    return path.startswith(door) and path.removeprefix(door) not in OPEN


def _led_elsewhere(request: HttpRequest, user: User) -> HttpResponse | None:
    if not Authenticator.objects.filter(user=user, type__in=FACTORS).exists():
        messages.warning(request, NEEDED)
        return HttpResponseRedirect(reverse("mfa_index"))
    oldest = time.time() - settings.STAFF_SESSION_SECONDS
    records = get_authentication_records(request, user)
    if any(record["method"] == "mfa" and record["at"] > oldest for record in records):
        return None
    back = request.get_full_path() if request.method in {"GET", "HEAD"} else reverse("admin:index")
    ways = get_adapter().get_reauthentication_methods(user)
    page = next(way["url"] for way in ways if way["id"].startswith("mfa_reauthenticate"))
    return HttpResponseRedirect(f"{page}?{urlencode({REDIRECT_FIELD_NAME: back})}")


def require_factor(user: User, scopes: Collection[str] | None) -> None:
    """What opens the admin is asked of whoever makes a service key, too, since that moves other
    people's credits: a second factor, which every sign-in of theirs then took.

    Raises ``PermissionRefused``.
    """
    if not settings.STAFF_MFA_REQUIRED or not verbs.STAFF_SCOPES.intersection(scopes or ()):
        return
    if user.is_staff and not Authenticator.objects.filter(user=user, type__in=FACTORS).exists():
        raise PermissionRefused(NEEDED_FOR_KEYS, param="scopes")


def is_last_factor(authenticator: Authenticator) -> bool:
    """Whether a member of staff would be left without a second factor, where one is needed."""
    user = authenticator.user
    if not (settings.STAFF_MFA_REQUIRED and user.is_staff and authenticator.type in FACTORS):
        return False
    others = Authenticator.objects.filter(user=user, type__in=FACTORS).exclude(pk=authenticator.pk)
    return not others.exists()


def _keep_last_factor(instance: Authenticator, origin: Any, **_: Any) -> None:
    """allauth asks its adapter before it removes an authenticator app, but not for a passkey.

    ``origin`` is what was asked to be deleted: a user who leaves takes their factors along.
    """
    if origin is instance and is_last_factor(instance):
        raise PermissionDenied(LAST_FACTOR)
