"""What a user may read of their calls: receipts, and the months they add up to."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import F, Q, QuerySet, Sum
from django.utils.dateparse import parse_datetime

from accounts.models import User
from common.errors import NotFound
from common.paging import Cursor, bad_cursor
from ledger.models import Hold
from usage.models import Call, MonthlyUsage

OPEN = "open"


@dataclass(frozen=True)
class Receipt:
    """One call as its user sees it. Amounts are microcredits; ``returned`` of ``held`` went back.

    ``estimated``: the provider told no usage, so it was counted from the bytes.
    """

    id: uuid.UUID
    model: str
    provider: str
    status: str
    held: int
    spent: int
    returned: int
    estimated: bool
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    started: datetime
    finished: datetime | None

    @classmethod
    def of_call(cls, call: Call) -> "Receipt":
        return cls(
            id=call.id,
            model=call.model,
            provider=call.provider,
            status=call.status,
            held=call.held,
            spent=call.spent,
            returned=max(call.held - call.spent, 0),
            estimated=call.estimated,
            input_tokens=call.input_tokens,
            cached_tokens=call.cached_tokens,
            output_tokens=call.output_tokens,
            reasoning_tokens=call.reasoning_tokens,
            started=call.started,
            finished=call.finished,
        )

    @classmethod
    def of_open_hold(cls, hold: Hold) -> "Receipt":
        """A call that has not ended: nothing is spent yet, and nothing has returned."""
        return cls(
            id=hold.id,
            model=hold.metadata.get("model", ""),
            provider=hold.metadata.get("provider", ""),
            status=OPEN,
            held=hold.amount,
            spent=0,
            returned=0,
            estimated=False,
            input_tokens=0,
            cached_tokens=0,
            output_tokens=0,
            reasoning_tokens=0,
            started=hold.created,
            finished=None,
        )


def receipt_of(user: User, call_id: uuid.UUID) -> Receipt:
    """The receipt of a call of ``user``'s. Raises ``NotFound``, for somebody else's call too."""
    mine = Q(pk=call_id, user=user)
    if call := Call.objects.filter(mine).first():
        return Receipt.of_call(call)
    hold = Hold.objects.filter(pk=call_id, kind="call", account__owner=user).first()
    if hold is None:
        raise NotFound("There is no such call.")
    if hold.state == Hold.State.OPEN:
        return Receipt.of_open_hold(hold)
    # It ended between the two looks.
    if call := Call.objects.filter(mine).first():
        return Receipt.of_call(call)
    raise NotFound("There is no such call.")


def calls_of(user: User, filters: dict[str, Any]) -> QuerySet[Call]:
    """A user's calls that have ended, filtered by ``model``, ``status``, ``since``, ``until``.

    ``since`` is included, ``until`` is not; both look at when the call began.
    """
    names = {"model": "model", "status": "status", "since": "started__gte", "until": "started__lt"}
    return Call.objects.filter(
        user=user, **{names[name]: value for name, value in filters.items() if name in names}
    )


def place(call: Call) -> tuple[str, str]:
    """Where a call stands in the list, for a cursor."""
    return (call.started.isoformat(), str(call.pk))


def page_of(calls: QuerySet[Call], cursor: Cursor | None, count: int) -> Sequence[Call]:
    """At most ``count`` calls, as ``common.paging.paginate`` asks for them.

    Raises ``BadInput`` for a cursor that is no call's.
    """
    if cursor is None:
        return list(calls.order_by("-started", "-id")[:count])
    try:
        started = parse_datetime(cursor.place[0])
        last = uuid.UUID(cursor.place[1])
    except ValueError:
        raise bad_cursor() from None
    if started is None or started.tzinfo is None:
        raise bad_cursor()
    # The first condition says no more than the other two; the index can use it.
    if cursor.newer:
        beyond = Q(started__gte=started) & (Q(started__gt=started) | Q(id__gt=last))
        return list(calls.filter(beyond).order_by("started", "id")[:count])
    beyond = Q(started__lte=started) & (Q(started__lt=started) | Q(id__lt=last))
    return list(calls.filter(beyond).order_by("-started", "-id")[:count])


def months_of(user: User) -> list[dict[str, Any]]:
    """The months in which a user made calls, newest first: counts, and ``spent`` microcredits."""
    rows = (
        MonthlyUsage.objects.filter(user=user)
        .values("month")
        .annotate(
            requests=Sum(F("requests")),
            input_tokens=Sum(F("input_tokens")),
            output_tokens=Sum(F("output_tokens")),
            spent=Sum(F("spent")),
        )
        .order_by("-month")
    )
    return [{**row, "spent": int(row["spent"])} for row in rows]
