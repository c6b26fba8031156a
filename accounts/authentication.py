"""Who is calling ``/api/``: a program with an API key, or a person's browser with its session."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.db.models import Q
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts import keys
from accounts.models import ApiKey, User
from common.drf import CHALLENGE

if TYPE_CHECKING:  # DRF's views load this module by setting, while they are being loaded
    from rest_framework.views import APIView

USED_EVERY = timedelta(minutes=1)


def presented_keys(request: Request) -> list[str]:
    """What a request carries as a key, well-formed or not, ``Authorization`` first."""
    given = []
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        given.append(rest.strip())
    if "x-api-key" in request.headers:
        given.append(request.headers["x-api-key"].strip())
    return given


def user_of(request: Request) -> User:
    """Who is calling, in a view that lets only known users in."""
    user = request.user
    assert isinstance(user, User), "the view's permissions let nobody else in"
    return user


class ApiKeyAuthentication(BaseAuthentication):
    """``Authorization: Bearer fb_…`` or ``x-api-key: fb_…``; ``request.auth`` is the ``ApiKey``.

    What has no right checksum is refused without a look at the database.
    """

    def authenticate(self, request: Request) -> tuple[User, ApiKey] | None:
        given = presented_keys(request)
        if not given:
            return None
        secret = next(filter(keys.is_well_formed, given), None)
        if secret is None:
            raise AuthenticationFailed("This is not a Farebox API key: it is malformed.")
        key = ApiKey.objects.select_related("user").filter(digest=keys.digest(secret)).first()
        if key is None or not key.is_active or not key.user.is_active:
            raise AuthenticationFailed("This API key is not valid: unknown, revoked or expired.")
        _note_use(key)
        return key.user, key

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


def _note_use(key: ApiKey) -> None:
    """Keep ``last_used_at`` to the minute: one write a minute, however many requests."""
    now = timezone.now()
    if key.last_used_at is None or key.last_used_at < now - USED_EVERY:
        stale = Q(last_used_at=None) | Q(last_used_at__lt=now - USED_EVERY)
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)


class HasScope(BasePermission):
    """Somebody known, whose API key has the ``scope``; a session in the browser has them all."""

    scope = "read"

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not request.user or not request.user.is_authenticated:
            return False
        if isinstance(request.auth, ApiKey) and self.scope not in request.auth.scopes:
            self.message = f"This API key lacks the scope '{self.scope}'."
            return False
        return True


class MayRead(HasScope):
    """The default permission of the API."""
