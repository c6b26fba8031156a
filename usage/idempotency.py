"""The ``Idempotency-Key`` of paid calls: an answer that streams is not kept, so it can't be
replayed; what is promised is that one key is paid for once.

A key belongs to the user, and to one request (its address and its body) for a day. ``usage_begin``
decides under the wallet's lock: a second call with the same key is refused while the first is open
and after it has ended, by errors that name it. A call that delivered nothing, and so costs nothing,
frees its key. After
draft-ietf-httpapi-idempotency-key-header, and Stripe's rules.
"""

import re
import uuid
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

from django.db import connection
from django.utils import timezone

from common.errors import AlreadyEnded, BadInput, Conflict, IdempotencyConflict

# How long a key is remembered; the same day stands in usage_begin and usage__late.
KEPT = timedelta(hours=24)

_FORM = re.compile(rb"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")
_BATCH = 10_000
_FORGET = """
DELETE FROM usage_callkey WHERE id IN (
    SELECT id FROM usage_callkey WHERE created < %s ORDER BY created LIMIT %s)
"""


@dataclass(frozen=True, slots=True)
class Key:
    """A key, and the SHA-256 of the request that it stands for."""

    key: str
    request: bytes


def read(header: bytes | None, path: str, body: bytes) -> Key | None:
    """The key that a request for ``path`` carries, if any. Raises ``BadInput``."""
    if header is None:
        return None
    given = header.strip(b" \t")
    if not _FORM.fullmatch(given):
        raise BadInput(
            "Idempotency-Key: use 1 to 255 printable ASCII characters, such as a UUID.",
            param="Idempotency-Key",
        )
    return Key(given.decode("ascii"), sha256(path.encode() + b"\n" + body).digest())


class InProgress(Conflict):
    """The first call with this key is open."""

    def __init__(self) -> None:
        super().__init__(
            "A call with this Idempotency-Key is open; wait for it, or use another key for "
            "another call.",
            param="Idempotency-Key",
            retry_after=1,
        )


class Completed(AlreadyEnded):
    """The call with this key has ended and was paid for; its receipt tells for what."""

    def __init__(self, call: uuid.UUID) -> None:
        super().__init__(
            f"A call with this Idempotency-Key has ended; its receipt is /api/calls/{call}. Its "
            "answer is not kept: use another key to ask again.",
            param="Idempotency-Key",
            should_retry=False,
        )
        self.call = call

    @property
    def headers(self) -> dict[str, str]:
        return super().headers | {"x-farebox-call": str(self.call)}


class KeyReused(IdempotencyConflict):
    """The key stands for another request."""

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key was used for another request; use a new key for each.",
            param="Idempotency-Key",
            should_retry=False,
        )


def forget() -> int:
    """Drop keys older than a day; answers how many. Run by beat."""
    dropped = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_FORGET, [timezone.now() - KEPT, _BATCH])
            dropped += cursor.rowcount
            if cursor.rowcount < _BATCH:
                return dropped
