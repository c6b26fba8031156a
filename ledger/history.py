"""Reading a wallet's transfers, newest first."""

from collections.abc import Sequence
from heapq import merge
from itertools import islice

from django.db.models import F, QuerySet

from accounts.models import User
from common.paging import Cursor, bad_cursor
from ledger.models import Account, Hold, Transfer


def wallet_id_of(user: User) -> int | None:
    """The id of a user's wallet, ``None`` before its first use."""
    return (
        Account.objects.filter(owner=user, kind=Account.Kind.WALLET)
        .values_list("id", flat=True)
        .first()
    )


def place(transfer: Transfer) -> tuple[str]:
    """Where a transfer stands in the history, for a cursor."""
    return (str(transfer.pk),)


def reason_of(moved: Transfer | Hold) -> str | None:
    """What a back end of the operator's gave as its reason, for the user to read. A reason that
    staff gave is theirs alone: ``None``."""
    told = moved.metadata
    return str(told["reason"]) if "service" in told and told.get("reason") else None


def transfers_of(wallet: int, cursor: Cursor | None, count: int) -> Sequence[Transfer]:
    """At most ``count`` transfers of a wallet, as ``common.paging.paginate`` asks for them.

    Each has ``signed`` (microcredits, negative for what left) and ``hold_kind``. What came in and
    what left are read apart and merged: each has an index that is in order, both together have
    none. Raises ``BadInput`` for a cursor that is no transfer's.
    """
    newer = bool(cursor and cursor.newer)
    limits = {}
    if cursor:
        number = cursor.place[0]
        if not (number.isascii() and number.isdigit() and len(number) < 19):
            raise bad_cursor()
        limits = {"id__gt" if newer else "id__lt": int(number)}

    def side(**which: int) -> QuerySet[Transfer]:
        return (
            Transfer.objects.filter(**which, **limits)
            .annotate(hold_kind=F("hold__kind"))
            .order_by("id" if newer else "-id")[:count]
        )

    both = merge(side(debit=wallet), side(credit=wallet), key=lambda row: row.pk, reverse=not newer)
    rows = list(islice(both, count))
    for row in rows:
        row.signed = -row.amount if row.debit_id == wallet else row.amount  # type: ignore[attr-defined]
    return rows
