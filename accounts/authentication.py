"""Who is calling ``/api/``: a program with an API key, or a person who is signed in.

``request.auth`` tells which: the ``ApiKey``; an ``access.Credential`` of somebody signed in through
an extension or the headless API; ``None`` for a browser with its cookie, which alone needs a CSRF
token. ``accounts.presented`` says what is read from where, and what goes before what; all of it
goes before the cookie.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.db.models import BigIntegerField, Func, Q, TextField, Value
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts import presented
from accounts.access import Credential
from accounts.middleware import note_seen
from accounts.models import ApiKey, User
from common.drf import CHALLENGE
from common.errors import NotAuthenticated

if TYPE_CHECKING:  # DRF's views load this module by setting, while they are being loaded
    from rest_framework.views import APIView

USED_EVERY = timedelta(minutes=1)
PERSON = ("ai", "read")  # the scopes of whoever is signed in


def presented_by(request: Request) -> presented.Presented | None:
    """The credential in a request's headers. Raises ``AuthenticationFailed`` for malformed ones."""
    try:
        return presented.read(
            authorization=request.headers.get("authorization", ""),
            api_key=request.headers.get("x-api-key"),
            session=request.headers.get("x-session-token"),
        )
    except NotAuthenticated as error:
        raise AuthenticationFailed(error.message) from None


def user_of(request: Request) -> User:
    """Who is calling, in a view that lets only known users in."""
    user = request.user
    assert isinstance(user, User), "the view's permissions let nobody else in"
    return user


def credential_of(request: Request) -> Credential:
    """What the caller of such a view proved themselves with; of a browser, its session."""
    user = user_of(request).pk
    match request.auth:
        case ApiKey() as key:
            return Credential("key", bytes(key.digest).hex(), user)
        case Credential() as credential:
            return credential
    return Credential("session", request.session.session_key or "", user)


class ApiKeyAuthentication(BaseAuthentication):
    """``Authorization: Bearer fb_…`` or ``x-api-key: fb_…``; ``request.auth`` is the ``ApiKey``.

    What has no right checksum is refused without a look at the database.
    """

    def authenticate(self, request: Request) -> tuple[User, ApiKey] | None:
        given = presented_by(request)
        if given is None or given.digest is None:
            return None
        key = ApiKey.objects.select_related("user").filter(digest=given.digest).first()
        if key is None or not key.is_active or not key.user.is_active:
            raise AuthenticationFailed(given.refusal.message)
        _note_use(key)
        return key.user, key

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


class SignInAuthentication(BaseAuthentication):
    """An extension's access token as ``Authorization: Bearer`` or ``x-api-key``, or a headless
    session as ``X-Session-Token``; ``request.auth`` is the ``Credential``.

    One query: ``accounts_signed_in``, the rule that the proxy and the sockets ask too. A sign-in
    that still wants a second factor, or a verified address, is none.
    """

    def authenticate(self, request: Request) -> tuple[User, Credential] | None:
        given = presented_by(request)
        if given is None or given.digest is not None:
            return None
        user = User.objects.filter(pk=_signed_in(given)).first()
        if user is None:
            raise AuthenticationFailed(given.refusal.message)
        if given.session:
            note_seen(given.session)
            return user, Credential("session", given.session, user.pk)
        return user, Credential("token", given.token or "", user.pk)

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


def _signed_in(given: presented.Presented) -> Func:
    return Func(
        Value(given.token, output_field=TextField()),
        Value(given.session, output_field=TextField()),
        function="accounts_signed_in",
        output_field=BigIntegerField(),
    )


def _note_use(key: ApiKey) -> None:
    """Keep ``last_used_at`` to the minute: one write a minute, however many requests."""
    now = timezone.now()
    if key.last_used_at is None or key.last_used_at < now - USED_EVERY:
        stale = Q(last_used_at=None) | Q(last_used_at__lt=now - USED_EVERY)
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)


class HasScope(BasePermission):
    """Somebody known who has the ``scope``: by their API key, or as everybody does who is signed
    in (``PERSON``)."""

    scope = "read"

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not request.user or not request.user.is_authenticated:
            return False
        if not isinstance(request.auth, ApiKey):
            return self.scope in PERSON
        if self.scope not in request.auth.scopes:
            self.message = f"This API key lacks the scope '{self.scope}'."
            return False
        return True


class MayRead(HasScope):
    """The default permission of the API."""


class MayMoveCredits(HasScope):
    """A service key, whose owner is staff still. Nobody who is signed in, staff or not: what moves
    other people's credits is said by a program that was made for it."""

    scope = "credits"
    message = "This takes a service key, which staff make; see docs/credits.md."

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not super().has_permission(request, view):
            return False
        if not user_of(request).is_staff:
            self.message = "This service key's owner is no longer staff."
            return False
        return True


class SignedIn(BasePermission):
    """A person who is signed in, by whatever means; a program with an API key is not let in.

    For what a leaked key must not be able to do: make further keys, leave, open a socket.
    """

    message = "Sign in to do this; an API key can't."

    def has_permission(self, request: Request, view: APIView) -> bool:
        known = bool(request.user and request.user.is_authenticated)
        return known and not isinstance(request.auth, ApiKey)
