"""What can be done with accounts and API keys."""

from dataclasses import dataclass

from allauth.account.models import EmailAddress
from django.contrib.auth.password_validation import validate_password
from django.db import transaction
from django.utils import timezone

from accounts import keys
from accounts.models import ApiKey, User


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
        EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)
        return user


def issue_key(*, user: User, name: str, monthly_cap: int | None = None) -> IssuedKey:
    """A new API key for ``user``; ``monthly_cap`` in microcredits, ``None`` for no bound."""
    secret = keys.new_key()
    key = ApiKey.objects.create(
        user=user,
        name=name,
        prefix=secret[: len(keys.PREFIX) + 6],
        digest=keys.digest(secret),
        monthly_cap=monthly_cap,
    )
    return IssuedKey(key, secret)


def revoke_key(*, key: ApiKey) -> bool:
    """End a key, at once and for good. Returns whether this call was the one that did."""
    return bool(ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now()))
