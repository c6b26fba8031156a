"""What can be done with accounts and API keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from allauth.account.models import EmailAddress
from django.contrib.auth.password_validation import validate_password
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts import access, keys
from accounts.models import ApiKey, User, default_scopes
from common.errors import BadInput, PermissionRefused

# What a key may be good for: AI calls; reading the account; moving other people's credits.
SCOPES = ("ai", "read", "credits")
STAFF_SCOPES = frozenset({"credits"})
KEYS_A_USER = 50  # expired ones count too, until they are revoked


@dataclass(frozen=True)
class IssuedKey:
    """An API key at its making: the only moment its ``secret`` is known."""

    key: ApiKey
    secret: str


def create_user(*, email: str, password: str | None = None) -> User:
    """A new user whose address counts as verified: the operator, who makes them, vouches for it.
    Without a password they sign in by a code sent there.

    Raises ``django.core.exceptions.ValidationError`` for a weak password and ``IntegrityError``
    for an address that is taken.
    """
    if password is not None:
        validate_password(password)
    with transaction.atomic():
        user = User.objects.create_user(email, password)
        vouch_for(user=user)
        return user


def vouch_for(*, user: User) -> None:
    """Count a user's address as verified, on the operator's word."""
    EmailAddress.objects.update_or_create(
        user=user, email=user.email, defaults={"primary": True, "verified": True}
    )


def issue_key(
    *,
    user: User,
    name: str,
    scopes: Sequence[str] | None = None,
    monthly_cap: int | None = None,
    expires_at: datetime | None = None,
) -> IssuedKey:
    """A new API key for ``user``; ``monthly_cap`` in microcredits, ``None`` for no bound.

    ``scopes`` are some of ``SCOPES``; AI and reading when not given. Raises ``PermissionRefused``
    for a scope that only staff may give out, and ``BadInput`` for a scope there is not and for
    more than ``KEYS_A_USER`` keys.
    """
    wanted = default_scopes() if scopes is None else [name for name in SCOPES if name in scopes]
    if scopes is not None and (not wanted or set(scopes) - set(SCOPES)):
        raise BadInput(f"scopes: choose from {', '.join(SCOPES)}.", param="scopes")
    if STAFF_SCOPES.intersection(wanted) and not user.is_staff:
        raise PermissionRefused(
            "The scope 'credits' is for service keys, which only staff can make.", param="scopes"
        )
    secret = keys.new_key()
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=user.pk)  # the count is exact under it
        if keys_of(user).count() >= KEYS_A_USER:
            raise BadInput(
                f"You have {KEYS_A_USER} keys, the most there can be; revoke one that is no "
                "longer used."
            )
        key = ApiKey.objects.create(
            user=user,
            name=name,
            prefix=keys.shown_part(secret),
            digest=keys.digest(secret),
            scopes=wanted,
            monthly_cap=monthly_cap,
            expires_at=expires_at,
        )
    return IssuedKey(key, secret)


def keys_of(user: User) -> QuerySet[ApiKey]:
    """A user's keys that have not been revoked, newest first; expired ones are among them."""
    return ApiKey.objects.filter(user=user, revoked_at=None).order_by("-created_at", "-id")


def revoke_key(*, key: ApiKey) -> bool:
    """End a key, at once and for good. Returns whether this call was the one that did."""
    with transaction.atomic():
        live = ApiKey.objects.filter(pk=key.pk, revoked_at=None)
        ended = bool(live.update(revoked_at=timezone.now()))
        if ended:
            access.announce(key.user_id)
    return ended
