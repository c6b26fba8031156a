"""The eight verbs: the only way a balance changes. The rules are in ``ledger/sql/verbs.sql``.

``forfeit`` is ``expire`` of everything a wallet has or will ever get.

Amounts are whole microcredits. Every verb takes a ``key`` made by the caller from the cause
(``"stripe:invoice:in_1"``, ``"job:7:refund"``): the same key and input answer the first result
again, the same key with another input raises ``IdempotencyConflict``; a digest of what else was
asked of the caller belongs to the input, as ``"request"`` in the metadata. All of them may raise
``BadInput`` (an amount that can't be), ``NotFound`` and ``Unavailable`` (the wallet is busy).

Each works in both worlds: ``verbs.hold(...)``, or ``await verbs.hold.aio(conn, ...)``.
"""

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from ledger.database import Statement, verb
from ledger.models import Account, Grant

# Lots that end soonest or cost nothing are drawn before what was paid for.
PRIORITY = {Grant.Kind.ALLOWANCE: 10, Grant.Kind.PROMOTION: 20, Grant.Kind.PURCHASE: 30}


@dataclass(frozen=True)
class Balance:
    """A wallet after a verb, microcredits. ``owed`` above zero means frozen. ``user`` owns it."""

    posted: int
    held: int
    available: int
    owed: int
    user: int | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Granted:
    grant: int
    transfer: int
    amount: int
    balance: Balance


@dataclass(frozen=True)
class Held:
    hold: uuid.UUID
    amount: int
    balance: Balance


@dataclass(frozen=True)
class Captured:
    """``amount`` was taken, ``returned`` went back, ``written_off`` could not be covered. There is
    no ``transfer`` when nothing was taken."""

    hold: uuid.UUID
    amount: int
    returned: int
    written_off: int
    transfer: int | None
    balance: Balance


@dataclass(frozen=True)
class Released:
    hold: uuid.UUID
    returned: int
    balance: Balance


@dataclass(frozen=True)
class Spent:
    hold: uuid.UUID
    amount: int
    transfer: int
    balance: Balance


@dataclass(frozen=True)
class Refunded:
    transfer: int
    amount: int
    balance: Balance


@dataclass(frozen=True)
class Revoked:
    """``taken`` left the wallet, ``lapsed`` had expired unused before, ``receivable`` is owed."""

    grant: int
    taken: int
    lapsed: int
    receivable: int
    balance: Balance


@dataclass(frozen=True)
class Expired:
    amount: int
    balance: Balance


R = TypeVar("R")


def _reader(result: Callable[..., R]) -> Callable[[Sequence[Any]], R]:
    """Reads the JSON a verb's function answers into its result."""

    def read(row: Sequence[Any]) -> R:
        # Django's cursors leave JSON as text, plain psycopg's have parsed it.
        values = json.loads(row[0]) if isinstance(row[0], str) else dict(row[0])
        values["balance"] = Balance(**values["balance"])
        if "hold" in values:
            values["hold"] = uuid.UUID(values["hold"])
        return result(**values)

    return read


def _owner(result: Any) -> int | None:
    """Whose wallet a verb has changed: what their sockets are told of after commit."""
    return result.balance.user


def _json(metadata: Mapping[str, Any] | None) -> str:
    return json.dumps(dict(metadata or {}))


@verb
def wallet_of(*, user: int) -> Statement[int]:
    """The id of a user's wallet, made on first use."""
    return Statement(
        "SELECT ledger_account_of(%(user)s, %(kind)s)",
        {"user": user, "kind": Account.Kind.WALLET.value},
        lambda row: int(row[0]),
    )


@verb
def grant(
    *,
    account: int,
    amount: int,
    kind: str,
    key: str,
    expires_at: datetime | None = None,
    priority: int | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Statement[Granted]:
    """Credits appear in a wallet, as a lot. ``kind``: purchase, allowance or promotion.

    A wallet that owes pays with them first. Answers ``grant`` and ``transfer``.
    """
    rank = PRIORITY.get(Grant.Kind(kind), 30) if priority is None else priority
    return Statement(
        "SELECT ledger_grant(%(account)s, %(amount)s, %(kind)s, %(priority)s,"
        " %(expires_at)s::timestamptz, %(key)s, %(metadata)s::jsonb)",
        {
            "account": account,
            "amount": amount,
            "kind": str(kind),
            "priority": rank,
            "expires_at": expires_at,
            "key": key,
            "metadata": _json(metadata),
        },
        _reader(Granted),
        _owner,
    )


@verb
def hold(
    *,
    account: int,
    amount: int,
    key: str,
    kind: str,
    lease: timedelta,
    minimum: int | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Statement[Held]:
    """Reserve ``amount`` before work; with ``minimum``, what is available from there up.

    Answers ``hold`` and the ``amount`` held. When the lease runs out, the sweeper ends it.
    Raises ``InsufficientCredits`` and ``WalletFrozen``.
    """
    return Statement(
        "SELECT ledger_hold(%(account)s, %(amount)s, %(minimum)s, %(kind)s, %(lease)s,"
        " %(key)s, %(metadata)s::jsonb)",
        {
            "account": account,
            "amount": amount,
            "minimum": amount if minimum is None else minimum,
            "kind": kind,
            "lease": lease,
            "key": key,
            "metadata": _json(metadata),
        },
        _reader(Held),
        _owner,
    )


@verb
def capture(
    *, hold: uuid.UUID, amount: int, key: str, metadata: Mapping[str, Any] | None = None
) -> Statement[Captured]:
    """Take ``amount`` and end the hold; the rest returns.

    Past the hold it takes what else is available; what the wallet can't cover is ``written_off``,
    never taken below zero. Raises ``AlreadyEnded``.
    """
    return Statement(
        "SELECT ledger_capture(%(hold)s, %(amount)s, %(key)s, %(metadata)s::jsonb)",
        {"hold": hold, "amount": amount, "key": key, "metadata": _json(metadata)},
        _reader(Captured),
        _owner,
    )


@verb
def release(*, hold: uuid.UUID, key: str) -> Statement[Released]:
    """Give a hold back whole. Raises ``AlreadyEnded``."""
    return Statement(
        "SELECT ledger_release(%(hold)s, %(key)s)",
        {"hold": hold, "key": key},
        _reader(Released),
        _owner,
    )


@verb
def spend(
    *, account: int, amount: int, key: str, metadata: Mapping[str, Any] | None = None
) -> Statement[Spent]:
    """Hold and capture in one step: all of ``amount``, or nothing.

    Raises ``InsufficientCredits`` and ``WalletFrozen``.
    """
    return Statement(
        "SELECT ledger_spend(%(account)s, %(amount)s, %(key)s, %(metadata)s::jsonb)",
        {"account": account, "amount": amount, "key": key, "metadata": _json(metadata)},
        _reader(Spent),
        _owner,
    )


@verb
def refund(
    *, transfer: int, amount: int, key: str, metadata: Mapping[str, Any] | None = None
) -> Statement[Refunded]:
    """Credits back for one capture; all its refunds together at most what it took.

    Raises ``BadInput`` for more than that.
    """
    return Statement(
        "SELECT ledger_refund(%(transfer)s, %(amount)s, %(key)s, %(metadata)s::jsonb)",
        {"transfer": transfer, "amount": amount, "key": key, "metadata": _json(metadata)},
        _reader(Refunded),
        _owner,
    )


@verb
def revoke(
    *, grant: int, amount: int, key: str, metadata: Mapping[str, Any] | None = None
) -> Statement[Revoked]:
    """Undo ``amount`` of a grant, after a refund or dispute of the payment behind it.

    What is spent already becomes a ``receivable`` and freezes the wallet. Raises ``BadInput`` for
    more than the grant has left to revoke.
    """
    return Statement(
        "SELECT ledger_revoke(%(grant)s, %(amount)s, %(key)s, %(metadata)s::jsonb)",
        {"grant": grant, "amount": amount, "key": key, "metadata": _json(metadata)},
        _reader(Revoked),
        _owner,
    )


@verb
def expire(*, account: int) -> Statement[Expired]:
    """The unspent, unheld part of every due lot of a wallet leaves; ``amount`` is the sum.

    Its keys are made inside, one for each part of a lot: called twice it does nothing more. Every
    other verb does the same first, so nobody can spend a lot that is due.
    """
    return Statement(
        "SELECT ledger_expire(%(account)s)", {"account": account}, _reader(Expired), _owner
    )


@verb
def forfeit(*, account: int) -> Statement[Expired]:
    """Close a wallet: all its lots are due now; ``amount`` is what leaves at once.

    What open holds keep back leaves after they have ended, and what comes in later leaves too.
    Called twice it does nothing more.
    """
    return Statement(
        "SELECT ledger_forfeit(%(account)s)", {"account": account}, _reader(Expired), _owner
    )
