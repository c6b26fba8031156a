"""What a service may do with users' credits: the ledger's verbs, each for its own alone.

A service is a service key's id. Its holds and transfers carry it in their metadata, ``service``,
and nobody else's are there for it (``NotFound``), those of paid calls least of all. Its
Idempotency-Keys are its own as well: the ledger's key is made of both, and stands for the whole of
what was asked, the reason included.
"""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import TypeVar

import structlog
from django.conf import settings
from django.db.models.functions import Now

from accounts.leaving import is_deleted
from accounts.models import ApiKey, User
from billing import nudges
from common.errors import (
    BadInput,
    FareboxError,
    IdempotencyConflict,
    InsufficientCredits,
    NotFound,
    PermissionRefused,
)
from common.money import format_credits
from ledger import marks, verbs
from ledger.history import wallet_id_of
from ledger.models import Account, Hold, IdempotencyKey, Transfer
from usage.idempotency import KeyReused

log = structlog.get_logger(__name__)

KIND = "api"  # of the holds, in the ledger
_MOMENT = timedelta(seconds=5)

T = TypeVar("T", verbs.Held, verbs.Captured, verbs.Released, verbs.Spent, verbs.Refunded)


@dataclass(frozen=True)
class Asked:
    """One call of a service: its service key, and the Idempotency-Key it sent."""

    by: ApiKey
    idempotency_key: str

    @property
    def key(self) -> str:
        """The ledger's key."""
        return f"service:{self.by.pk}:{sha256(self.idempotency_key.encode()).hexdigest()}"

    def metadata(self, reason: str, *besides: str | int | None) -> dict[str, str]:
        """What the ledger keeps beside the amount. ``besides`` is what the service asked for that
        the verb is not told; where it differs, the same key stands for another request."""
        digest = sha256(json.dumps(besides).encode()).hexdigest()
        return {"service": str(self.by.pk), "reason": reason, "request": digest[:32]}


def hold(
    asked: Asked, *, account: int | str, amount: int, reason: str, lease: timedelta
) -> verbs.Held:
    """Reserve ``amount`` microcredits of a user's, all of it. When ``lease`` is over the sweeper
    releases it. Raises ``InsufficientCredits``, and what ``_wallet`` raises."""
    wallet = _wallet(asked, account)
    metadata = asked.metadata(reason, reason, int(lease.total_seconds()))
    return _moved(
        asked,
        "hold",
        lambda: verbs.hold(
            account=wallet,
            amount=amount,
            key=asked.key,
            kind=KIND,
            lease=lease,
            metadata=metadata,
        ),
        wallet,
    )


def capture(
    asked: Asked, *, hold: uuid.UUID, amount: int, reason: str | None = None
) -> verbs.Captured:
    """Take ``amount`` of a hold, at most all of it, and return the rest. Raises ``AlreadyEnded``
    for a hold that has ended by another request."""
    held = _own_hold(asked, hold)
    if amount > held.amount:
        raise BadInput(
            f"amount: {format_credits(held.amount)} credits are held; no more can be captured.",
            param="amount",
        )
    metadata = asked.metadata(reason or held.metadata["reason"], reason)
    return _moved(
        asked,
        "capture",
        lambda: verbs.capture(hold=hold, amount=amount, key=asked.key, metadata=metadata),
        held.account_id,
    )


def release(asked: Asked, *, hold: uuid.UUID) -> verbs.Released:
    """Give a hold back whole. Raises ``AlreadyEnded``."""
    held = _own_hold(asked, hold)
    return _moved(
        asked, "release", lambda: verbs.release(hold=hold, key=asked.key), held.account_id
    )


def spend(asked: Asked, *, account: int | str, amount: int, reason: str) -> verbs.Spent:
    """Take ``amount`` from a user, all of it. Raises ``InsufficientCredits``, and what ``_wallet``
    raises."""
    wallet = _wallet(asked, account)
    metadata = asked.metadata(reason, reason)
    return _moved(
        asked,
        "spend",
        lambda: verbs.spend(account=wallet, amount=amount, key=asked.key, metadata=metadata),
        wallet,
    )


def refund(
    asked: Asked, *, transfer: int, amount: int, reason: str | None = None
) -> verbs.Refunded:
    """Give ``amount`` of a capture or spend back; all its refunds together at most what it took."""
    taken = (
        Transfer.objects.filter(pk=transfer, kind=Transfer.Kind.CAPTURE)
        .filter(metadata__service=str(asked.by.pk))
        .first()
    )
    if taken is None:
        raise NotFound("This service key has taken nothing by this transfer.", param="transfer")
    metadata = asked.metadata(reason or taken.metadata["reason"], reason)
    return _moved(
        asked,
        "refund",
        lambda: verbs.refund(transfer=transfer, amount=amount, key=asked.key, metadata=metadata),
        taken.debit_id,
    )


def _wallet(asked: Asked, account: int | str) -> int:
    """The wallet of a user by e-mail address or id.

    Raises ``NotFound`` for nobody, and for who has left; ``PermissionRefused`` for whom staff have
    disabled, unless this is a request that was granted before.
    """
    who = {"email": account} if isinstance(account, str) else {"pk": account}
    user = User.objects.filter(**who).first()
    if user is None or is_deleted(user):
        raise NotFound("There is no such account.", param="account")
    if not user.is_active and not IdempotencyKey.objects.filter(pk=asked.key).exists():
        raise PermissionRefused(
            "This account is disabled; nothing can be taken from it.", param="account"
        )
    return wallet_id_of(user) or verbs.wallet_of(user=user.pk)


def _own_hold(asked: Asked, hold: uuid.UUID) -> Hold:
    """A hold that this service made. What is read here never changes."""
    found = Hold.objects.filter(pk=hold, kind=KIND, metadata__service=str(asked.by.pk)).first()
    if found is None:
        raise NotFound("This service key has no such hold.", param="hold")
    return found


def _moved(asked: Asked, verb: str, act: Callable[[], T], wallet: int) -> T:
    """Call a verb; say its refusals in the words of the API, and tell of what it has done."""
    try:
        result = act()
    except IdempotencyConflict:
        raise KeyReused from None
    except InsufficientCredits as refusal:
        if verb in ("hold", "spend"):
            _asked_in_vain(wallet)
        where = f"{settings.PUBLIC_URL}/dashboard/billing/"
        raise type(refusal)(f"{refusal.message} Top up at {where}.", should_retry=False) from None
    except BadInput as refusal:  # of the ledger's, only a refund's amount is left
        raise BadInput(f"amount: {refusal.message}", param="amount") from None
    log.info("credits moved", verb=verb, service=str(asked.by.pk), wallet=wallet)
    if result.balance.user is not None and verb in ("capture", "spend"):
        _nudge(result.balance.user, wallet)
    return result


def _nudge(user: int, wallet: int) -> None:
    """Have a wallet looked at that has become low just now. A moment is enough: who runs low at
    the same time is looked at twice, and who is missed is found by beat."""
    if Account.objects.filter(pk=wallet, low_since__gt=Now() - _MOMENT).exists():
        nudges.top_up(user)


def _asked_in_vain(wallet: int) -> None:
    """Credits that expired may have made the wallet low, and now somebody wants some: as with a
    paid call, it counts as low from here on."""
    try:
        found = Account.objects.get(pk=wallet)
        if found.low_mark is not None and found.low_since is None:
            marks.set_low_mark(account=wallet, mark=found.low_mark)
    except FareboxError as error:  # busy; the next request looks again
        log.warning("a low wallet is not marked yet", wallet=wallet, error=type(error).__name__)
