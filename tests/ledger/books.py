"""Looking at the books, and letting time go by."""

from datetime import timedelta
from typing import Any

from django.db import connection

from ledger.models import Account, Grant

LEASE = timedelta(seconds=60)


def balance(wallet: int) -> tuple[int, int, int]:
    """(posted, held, owed) as committed, microcredits."""
    account = Account.objects.get(pk=wallet)
    return account.posted, account.held, account.owed


def lots(wallet: int) -> list[tuple[str, int]]:
    """(kind, remaining) of each lot that has something left, oldest first."""
    return list(
        Grant.objects.filter(account=wallet, remaining__gt=0)
        .order_by("id")
        .values_list("kind", "remaining")
    )


def query(sql: str, *params: Any) -> list[tuple[Any, ...]]:
    """The rows of a query, or none of a statement that answers none."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor) if cursor.description else []


def total(kind: str) -> int:
    """The balance of a system account: the sum of its transfers."""
    ((amount,),) = query(
        "SELECT coalesce(sum(CASE WHEN credit_id = s.id THEN amount ELSE -amount END), 0)"
        " FROM (SELECT ledger__system(%s) AS id) s"
        " JOIN ledger_transfer ON s.id IN (debit_id, credit_id)",
        kind,
    )
    return int(amount)


def make_due(grant: int) -> None:
    """Move a lot's date into the past, as if time had gone by."""
    Grant.objects.filter(pk=grant).update(expires_at="2020-01-01T00:00:00Z")
