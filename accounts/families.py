"""Families of an extension's tokens: all that came of one sign-in, by one renewal after another.

allauth rotates refresh tokens and forgets a spent one. A stolen token that was used before its
owner's would go unnoticed, so the spent ones are remembered here: when one is shown again, thief
or owner, the whole family ends (RFC 9700, section 4.14.2).
"""

import uuid
from datetime import datetime, timedelta

from allauth.idp.oidc.models import Token
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.models import FamilyToken, TokenFamily


def found(*, user: int, client: str, tokens: list[Token]) -> TokenFamily:
    """A new family of the tokens that a sign-in gave."""
    family = TokenFamily.objects.create(user_id=user, client=client)
    _join(family.pk, tokens)
    return family


@transaction.atomic
def renew(*, spent: str, tokens: list[Token]) -> None:
    """The refresh token whose hash is ``spent`` gave way to ``tokens``."""
    old = FamilyToken.objects.select_for_update().get(hash=spent)
    old.spent_at = timezone.now()
    old.save(update_fields=["spent_at"])
    _join(old.family_id, tokens)


def _join(family: uuid.UUID, tokens: list[Token]) -> None:
    FamilyToken.objects.bulk_create(
        FamilyToken(hash=token.hash, family_id=family, expires_at=token.expires_at or _far())
        for token in tokens
    )


def _far() -> datetime:
    return timezone.now() + timedelta(seconds=settings.REFRESH_TOKEN_SECONDS)


def lock(hash: str) -> FamilyToken | None:
    """A token's place, locked until the transaction ends, so that two renewals with one token
    come one after the other. ``None`` for a token that is in no family."""
    return FamilyToken.objects.select_for_update().filter(hash=hash).first()


def place_of(hash: str) -> FamilyToken | None:
    """A token's place, with its family; ``None`` for a token that is in none."""
    return FamilyToken.objects.select_related("family").filter(hash=hash).first()


@transaction.atomic
def end(family: uuid.UUID) -> bool:
    """End every token of a family. Answers whether there was anything to end.

    The family's row stays, and with it the memory of its spent tokens.
    """
    hashes = FamilyToken.objects.filter(family=family).values_list("hash", flat=True)
    ended = 0
    for token in Token.objects.filter(
        hash__in=list(hashes)
    ):  # one by one, so that signals are sent
        token.delete()
        ended += 1
    return ended > 0


def forget_expired() -> int:
    """Drop what no token could need any more: rows past their expiry, and families without any."""
    now = timezone.now()
    Token.objects.expired().delete()
    gone, _ = FamilyToken.objects.filter(expires_at__lt=now).delete()
    TokenFamily.objects.filter(tokens=None, created_at__lt=now - timedelta(hours=1)).delete()
    return gone
