"""A user's settings, encrypted by their client: one blob, replaced whole, never by accident.

Nothing here can read it. Every write names what it believes to be there (RFC 9110, section 13),
and one of two writes at once is refused: the version is compared in the UPDATE itself.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet
from django.utils import timezone
from django.utils.http import parse_etags

from accounts.models import Backup, User
from common.errors import BadInput, NotFound, PreconditionFailed, PreconditionRequired

MOST_BYTES = 256 * 1024

STALE = "The backup has changed since: fetch it, merge, and send its new ETag in If-Match."
GONE = "There is no backup: leave If-Match out, or send 'If-None-Match: *', to make one."
THERE = "There is a backup already: fetch it, merge, and send its ETag in If-Match."


def _etags(header: str, text: str | None) -> tuple[str, ...] | None:
    """What a precondition names; ``None`` when it was not sent. Raises ``BadInput``."""
    if text is None:
        return None
    found = tuple(parse_etags(text.strip()))
    if not found:
        raise BadInput(
            f"{header}: send an ETag as you got it, double quotes included.", param=header
        )
    return found


@dataclass(frozen=True)
class Precondition:
    """What a write says of the backup that is there: ETags, or ``("*",)`` for any."""

    match: Sequence[str] | None = None
    none_match: Sequence[str] | None = None

    @classmethod
    def read(cls, if_match: str | None, if_none_match: str | None) -> "Precondition":
        """From the two headers. Raises ``BadInput`` for what is neither an ETag nor ``*``."""
        return cls(_etags("If-Match", if_match), _etags("If-None-Match", if_none_match))

    @property
    def is_empty(self) -> bool:
        return self.match is None and self.none_match is None

    def check(self, etag: str | None) -> None:
        """Raises ``PreconditionFailed`` when the backup with ``etag`` (``None``: no backup) is not
        what the caller believes."""
        if self.match is not None:
            if etag is None:
                raise PreconditionFailed(GONE)
            if "*" not in self.match and etag not in self.match:
                raise PreconditionFailed(STALE)
        if self.names(etag):
            raise PreconditionFailed(THERE)

    def names(self, etag: str | None) -> bool:
        """Whether ``If-None-Match`` names this backup; weakly, as the RFC wants it."""
        if self.none_match is None or etag is None:
            return False
        return "*" in self.none_match or etag in {tag.removeprefix("W/") for tag in self.none_match}


def etag(version: int) -> str:
    """The strong ETag of a version. Versions of one user never repeat, nor do their ETags."""
    return f'"{version:x}"'


def version_of(user: User) -> int | None:
    """The version that is there, without the blob; ``None`` for no backup."""
    return _of(user).values_list("version", flat=True).first()


def get(*, user: User) -> Backup:
    """The backup. Raises ``NotFound``."""
    backup = _of(user).first()
    if backup is None:
        raise NotFound("There is no backup yet.")
    return backup


def put(*, user: User, blob: bytes, condition: Precondition) -> tuple[int, bool]:
    """Store ``blob`` as the backup; answers its version and whether it is the first.

    Raises ``PreconditionFailed`` when something else is there than ``condition`` says, and
    ``PreconditionRequired`` when something is there and it says nothing.
    """
    there = version_of(user)
    condition.check(None if there is None else etag(there))
    if there is None:
        return _create(user, blob, condition), True
    if condition.is_empty:
        raise PreconditionRequired(THERE)
    changed = (
        _of(user)
        .filter(version=there)
        .update(blob=blob, version=F("version") + 1, updated_at=timezone.now())
    )
    if not changed:
        raise PreconditionFailed(STALE)  # another write came in between
    return there + 1, False


def _create(user: User, blob: bytes, condition: Precondition) -> int:
    """Versions start at the clock's nanoseconds: a backup made in place of a deleted one gets no
    ETag that a client may still know from it."""
    version = time.time_ns()
    try:
        with transaction.atomic():
            Backup.objects.create(user=user, blob=blob, version=version)
    except IntegrityError:  # another client made the first one meanwhile
        if condition.is_empty:
            raise PreconditionRequired(THERE) from None
        raise PreconditionFailed(THERE) from None
    return version


def delete(*, user: User, condition: Precondition) -> None:
    """Delete the backup. Raises ``NotFound``, and what ``put`` raises."""
    there = version_of(user)
    if there is None:
        raise NotFound("There is no backup.")
    if condition.is_empty:
        raise PreconditionRequired("Send the backup's ETag in If-Match to delete it.")
    condition.check(etag(there))
    gone, _ = _of(user).filter(version=there).delete()
    if not gone:
        raise PreconditionFailed(STALE)  # another write came in between


def _of(user: User) -> QuerySet[Backup]:
    return Backup.objects.filter(user=user)
