"""Creating a job: its input is read and priced, everything is checked and held, and it is queued.

An unaffordable job is refused at once; nothing of it is left. A job's calls wait in a queue, so the
plan's limits of a minute are not theirs; there may be ``JOBS_OPEN_MOST`` jobs of a user at a time.
"""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.conf import settings
from django.db import transaction

from accounts.models import ApiKey, User
from accounts.presented import ENDED_KEY
from common.errors import (
    BadInput,
    FareboxError,
    NotAuthenticated,
    PermissionRefused,
    RateLimited,
)
from common.ids import uuid7
from common.money import format_credits
from jobs import dispatch, uploads, verbs
from jobs.kinds import KINDS, FileKind, Part
from jobs.kinds.base import place_in
from jobs.results import give_connection_back
from jobs.telling import addresses, signing
from jobs.uploads import Upload
from ledger import marks
from ledger.database import Statement, verb
from usage import calls, catalog
from usage.catalog import Catalog
from usage.idempotency import Key, KeyReused
from usage.prices import MILLION
from usage.providers import configured_providers

CATALOG_SECONDS = 5.0

_catalog: tuple[float, Catalog] = (float("-inf"), Catalog())


@dataclass(frozen=True)
class Created:
    """A job's id and its owner's, and whether an earlier request with the same key had made it; if
    not, what is held (microcredits) and when it was made."""

    job: uuid.UUID
    repeated: bool
    held: int | None
    total: int
    made: datetime | None
    owner: int


def create(
    *,
    user: User,
    key: ApiKey | None,
    kind: str,
    given: Any,
    webhook: str = "",
    idempotency: Key | None = None,
    upload: Upload | None = None,
    retried: uuid.UUID | None = None,
) -> Created:
    """Make a job of ``user``'s, who calls with ``key`` or is signed in; it may be the retry of the
    one that is ``retried``.

    Raises ``BadInput`` naming the field, ``ModelNotFound``, and what ``usage.calls.begin`` raises;
    ``RateLimited`` for too many jobs, and for a key ``KeyReused``.
    """
    if kind not in KINDS:
        raise BadInput(f"kind: must be one of {', '.join(sorted(KINDS))}.", param="kind")
    parts = parts_of(kind, given, known_models() if given else Catalog(), upload)
    if webhook:
        give_connection_back()
        addresses.expect_allowed(webhook)
        signing.secret_of(user)  # it is there when there is something to sign
    job = uuid7()
    try:
        with uploads.kept(job, upload), transaction.atomic():
            created = make(
                job=job,
                user=None if key else user.pk,
                digest=bytes(key.digest) if key else None,
                kind=kind,
                parts=parts,
                webhook=webhook,
                key=idempotency,
            )
            if not created.repeated:
                if retried is not None:
                    verbs.link_retry(job=created.job, retried=retried)
                transaction.on_commit(dispatch.hint, robust=True)
    except calls.OutOfCredits:  # as a call's would be, what was noted of it is rolled back
        marks.wanted_more(owner=user.pk)
        raise
    if upload is not None and created.repeated:
        uploads.drop(job)
    return created


def parts_of(name: str, given: Any, catalog: Catalog, upload: Upload | None = None) -> list[Part]:
    """The paid calls of a job. Raises what ``create`` does for an input, and for a file."""
    kind = KINDS[name]
    if (upload is not None) != isinstance(kind, FileKind):
        uploads.refuse(name, upload)
    try:
        if upload is not None and isinstance(kind, FileKind):
            return kind.parts_of(given, upload.audio, catalog)
        return kind.parts(given, catalog)
    except FareboxError as error:
        place_in("input", error)
        raise


def known_models() -> Catalog:
    """The models that can be called, read anew every few seconds."""
    global _catalog
    if time.monotonic() - _catalog[0] > CATALOG_SECONDS:
        _catalog = (time.monotonic(), catalog.load(providers=configured_providers()))
    return _catalog[1]


def forget_models() -> None:
    """Read the models anew for the next job."""
    global _catalog
    _catalog = (float("-inf"), Catalog())


@verb
def make(
    *,
    job: uuid.UUID,
    user: int | None,
    digest: bytes | None,
    kind: str,
    parts: Sequence[Part],
    webhook: str,
    key: Key | None,
) -> Statement[Created]:
    """Make a job whose ``parts`` are read, for an API key (its ``digest``) or a known ``user``. It
    may be made again under the same id, when it is not known whether it was made.

    Raises what ``create`` does but for its input, ``NotAuthenticated`` and ``PermissionRefused``;
    then nothing is made.
    """

    def read(row: Sequence[Any]) -> Created:
        outcome, held, available, needed, affordable, detail, place, found, made, owner = row
        if outcome in {"ok", "repeated"}:
            return Created(found, outcome == "repeated", held, len(parts), made, owner)
        raise _refusal(outcome, available, needed, affordable, detail, place, parts)

    return Statement(
        "SELECT outcome, held, available, needed, affordable, detail, place, job, made, owner"
        " FROM jobs_create(%(job)s, %(user)s, %(digest)s, %(kind)s, %(items)s::jsonb,"
        " %(webhook)s, %(key)s, %(request)s, %(most)s, %(deadline)s)",
        {
            "job": job,
            "user": user,
            "digest": digest,
            "kind": kind,
            "items": orjson.dumps([_item(part) for part in parts]).decode(),
            "webhook": webhook,
            "key": key and key.key,
            "request": key and key.request,
            "most": settings.JOBS_OPEN_MOST,
            "deadline": timedelta(hours=settings.JOB_DEADLINE_HOURS),
        },
        read,
        lambda created: created.owner,
    )


def _item(part: Part) -> dict[str, Any]:
    """What ``usage_begin`` needs of a part, and what it asks."""
    model, request = part.request.model, part.request
    return {
        "call": str(uuid7()),
        "input": part.text,
        "model": model.name,
        "metadata": {
            "model": model.name,
            "provider": model.provider,
            "protocol": request.protocol.route,
            "price": model.price,
            "stream": False,
        },
        **vars(request.worst),
    }


def _refusal(
    outcome: str,
    available: int,
    needed: int,
    affordable: int,
    detail: int,
    place: int | None,
    parts: Sequence[Part],
) -> FareboxError:
    """What an outcome means to who asked for the job."""
    if outcome == "key_reused":
        return KeyReused()
    if outcome == "too_many":
        return RateLimited(
            f"At most {detail} jobs may be queued or running at once; wait for one to end.",
            retry_after=10,
        )
    if outcome == "invalid_key":
        return NotAuthenticated(ENDED_KEY)
    if outcome == "scope":
        return PermissionRefused("This API key lacks the scope 'ai'.")
    assert place is not None
    where = f"{settings.PUBLIC_URL}/dashboard/billing/"
    if outcome == "insufficient" and len(parts) > 1:
        needed = sum(_at_most(part) for part in parts)
        return calls.OutOfCredits(
            f"This job may need {format_credits(needed)} credits and there are "
            f"{format_credits(available)} available. Top up at {where}.",
            should_retry=False,
        )
    worst = parts[place].request.worst
    return calls.refusal(outcome, available, needed, affordable, detail, worst, where)


def _at_most(part: Part) -> int:
    worst = part.request.worst
    units = worst.input_units + worst.choices * worst.output_tokens * worst.output_rate
    return -(-units // MILLION)
