"""Families of an extension's tokens: all that came of one sign-in, by one renewal after another.

allauth rotates refresh tokens and forgets a spent one. A stolen token that was used before its
owner's would go unnoticed, so the spent ones are remembered here: when one is shown again, thief
or owner, the whole family ends (RFC 9700, section 4.14.2). There is no grace: two renewals at once
with one token are two users of it.

Whatever makes or ends tokens of a user locks the user's row first, and a changed password does by
being written. So a renewal is either before it, and its tokens end too, or after it, and refused.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from allauth.idp.oidc.models import Token
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.models import FamilyToken, TokenFamily, User

# How long an access token's place outlives it: what was opened with it may stay open as long.
STAYS = timedelta(days=1)


def found(*, user: int, client: str, tokens: Sequence[Token]) -> TokenFamily:
    """A new family of the tokens that a sign-in gave."""
    family = TokenFamily.objects.create(user_id=user, client=client)
    _join(family.pk, tokens)
    return family


@transaction.atomic
def renew(*, spent: str, tokens: Sequence[Token]) -> None:
    """The refresh token whose hash is ``spent`` gave way to ``tokens``."""
    old = FamilyToken.objects.select_for_update().get(hash=spent)
    old.spent_at = timezone.now()
    old.save(update_fields=["spent_at"])
    _join(old.family_id, tokens)


def _join(family: uuid.UUID, tokens: Sequence[Token]) -> None:
    FamilyToken.objects.bulk_create(
        FamilyToken(hash=token.hash, family_id=family, expires_at=_kept_until(token))
        for token in tokens
    )


def _kept_until(token: Token) -> datetime:
    ends = token.expires_at or timezone.now() + timedelta(seconds=settings.REFRESH_TOKEN_SECONDS)
    return ends + STAYS if token.type == Token.Type.ACCESS_TOKEN else ends


def lock_user(user: int) -> None:
    """Hold the user's row until the transaction ends."""
    User.objects.select_for_update(no_key=True).filter(pk=user).values_list("pk").first()


def lock(hash: str) -> FamilyToken | None:
    """A token's place, its user locked until the transaction ends, so that two renewals with one
    token come one after the other. ``None`` for a token that is in no family."""
    if (place := place_of(hash)) is None:
        return None
    lock_user(place.family.user_id)
    return place_of(hash)  # looked at again, under the lock


def place_of(hash: str) -> FamilyToken | None:
    """A token's place, with its family; ``None`` for a token that is in none."""
    return FamilyToken.objects.select_related("family").filter(hash=hash).first()


@transaction.atomic
def end(family: uuid.UUID) -> bool:
    """End every token of a family. Answers whether there was anything to end.

    The family's row stays, and with it the memory of its spent tokens.
    """
    user = TokenFamily.objects.filter(pk=family).values_list("user_id", flat=True).first()
    if user is None:
        return False
    lock_user(user)
    own = FamilyToken.objects.filter(family=family).values("hash")
    _, ended = Token.objects.filter(hash__in=own).delete()
    return bool(ended)


def forget_expired() -> int:
    """Drop what no token could need any more: rows past their expiry, and families without any."""
    now = timezone.now()
    Token.objects.expired().delete()
    gone, _ = FamilyToken.objects.filter(expires_at__lt=now).delete()
    TokenFamily.objects.filter(tokens=None, created_at__lt=now - timedelta(hours=1)).delete()
    return gone
