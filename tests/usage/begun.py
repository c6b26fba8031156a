"""usage_begin and usage_finish, called as the database offers them."""

import json
import uuid
from types import SimpleNamespace
from typing import Any

from django.db import connection

from accounts.models import User
from billing.entitlements import assign_plan
from billing.models import Plan
from common.ids import uuid7
from usage.models import Call, MonthlyUsage

METADATA = {"model": "m", "provider": "p", "protocol": "openai", "price": None, "stream": True}
TOKENS = {"input": 10, "cached": 4, "cache_write": 0, "cache_write_1h": 0, "output": 20}

BEGIN = """SELECT * FROM usage_begin(%(call)s, %(digest)s, %(user)s, %(token)s, %(session)s,
    %(model)s, %(metadata)s::jsonb, %(input_tokens)s, %(input_units)s, %(output_rate)s,
    %(output_tokens)s, %(exact)s, %(floor)s, %(choices)s, %(lease)s::interval, %(key)s,
    %(request)s)"""
FINISH = """SELECT * FROM usage_finish(%(call)s, %(status)s, %(charge)s, %(cost)s, %(usage)s::jsonb,
    %(estimated)s, %(error)s, %(first_event_ms)s)"""


def _row(sql: str, params: dict[str, Any], conn: Any = None) -> SimpleNamespace:
    with (conn or connection).cursor() as cursor:
        cursor.execute(sql, params)
        names = [column.name for column in cursor.description]
        return SimpleNamespace(**dict(zip(names, cursor.fetchone(), strict=True)))


def begin(
    *,
    user: User | None = None,
    digest: bytes | None = None,
    conn: Any = None,
    metadata: dict[str, Any] = METADATA,
    **options: Any,
) -> SimpleNamespace:
    """Begin a call that costs 1 microcredit an input token and 2 an output token; the outcome.

    The worst case by default is 10 + 1 choice * 20 tokens * 2 = 50 microcredits.
    """
    params = {
        "call": uuid7(), "digest": digest, "user": user and user.pk, "token": None,
        "session": None, "model": "m", "metadata": json.dumps(metadata), "input_tokens": 10,
        "input_units": 10_000_000, "output_rate": 2_000_000, "output_tokens": 20,
        "exact": True, "floor": 5, "choices": 1, "lease": "60 s", "key": None, "request": None,
    } | options  # fmt: skip
    row = _row(BEGIN, params, conn)
    row.call = params["call"]
    return row


def finish(
    call: uuid.UUID,
    charge: int | None,
    *,
    status: str = "completed",
    conn: Any = None,
    usage: dict[str, Any] | None = TOKENS,
    **options: Any,
) -> SimpleNamespace:
    """Finish a call at ``charge`` microcredits; how it ended, and nothing of whose it was, nor of
    its wallet."""
    params = {
        "call": call, "status": status, "charge": charge, "cost": 7, "usage": json.dumps(usage),
        "estimated": False, "error": "", "first_event_ms": 12,
    } | options  # fmt: skip
    row = _row(FINISH, params, conn)
    del row.owner, row.crossed
    return row


def put_on_plan(user: User, **limits: Any) -> Plan:
    """Give ``user`` a plan with these limits and no others."""
    plan = Plan.objects.create(slug="test", name="Test", **limits)
    assign_plan(user=user, plan=plan)
    return plan


def months(user: User) -> list[tuple[Any, ...]]:
    """(requests, input tokens, output tokens, spent) of each of a user's months and keys."""
    rows = MonthlyUsage.objects.filter(user=user).order_by("id")
    return list(rows.values_list("requests", "input_tokens", "output_tokens", "spent"))


def paid(call: uuid.UUID) -> tuple[str, int, int]:
    """(status, spent, written off) of a call's record."""
    record = Call.objects.get(pk=call)
    return record.status, record.spent, record.written_off


def let_lapse(call: uuid.UUID, checkpoint: dict[str, Any] | None = None) -> None:
    """Let an open call's lease run out, as when its process has died."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE ledger_hold SET lease_until = '2020-01-01', checkpoint = %s::jsonb"
            " WHERE id = %s AND state = 'open'",
            [json.dumps(checkpoint) if checkpoint else None, call],
        )
        assert cursor.rowcount == 1
