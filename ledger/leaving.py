"""The ledger's part in leaving. Imported when the app is ready."""

from collections.abc import Iterator
from typing import Any

from django.db.models import Q

from accounts.leaving import exports, on_leaving
from accounts.models import User
from common.money import format_credits
from ledger import verbs
from ledger.balances import balance_of
from ledger.history import reason_of, wallet_id_of
from ledger.models import Account, Grant, Hold, Transfer

ROWS = 1000  # read at a time


@on_leaving
def forfeit_balance(user: User) -> None:
    """Close the wallet. One is made where there is none, so that a payment which comes in later
    finds it closed."""
    verbs.forfeit(account=verbs.wallet_of(user=user.pk))


@exports("wallet", Account)
def wallet(user: User) -> dict[str, str]:
    balance = balance_of(user)
    return {
        "available": format_credits(balance.available),
        "held": format_credits(balance.held),
        "posted": format_credits(balance.posted),
        "owed": format_credits(balance.owed),
    }


@exports("transfers", Transfer)
def transfers(user: User) -> Iterator[dict[str, Any]]:
    """What came in (positive) and what left, oldest first."""
    own = wallet_id_of(user)
    rows = Transfer.objects.filter(Q(debit=own) | Q(credit=own)) if own else Transfer.objects.none()
    for row in rows.order_by("id").iterator(ROWS):
        yield {
            "id": row.pk,
            "kind": row.kind,
            "amount": format_credits(-row.amount if row.debit_id == own else row.amount),
            "hold": row.hold_id,
            "reason": reason_of(row),
            "created": row.created,
        }


@exports("lots", Grant)
def lots(user: User) -> Iterator[dict[str, Any]]:
    for lot in Grant.objects.filter(account=wallet_id_of(user)).order_by("id").iterator(ROWS):
        yield {
            "kind": lot.kind,
            "amount": format_credits(lot.amount),
            "remaining": format_credits(lot.remaining),
            "expires_at": lot.expires_at,
            "created": lot.created,
        }


@exports("open_holds", Hold)
def open_holds(user: User) -> list[dict[str, Any]]:
    """Those that have ended stand among the transfers and the calls."""
    holds = Hold.objects.filter(account=wallet_id_of(user), state=Hold.State.OPEN)
    return [
        {
            "id": hold.pk,
            "kind": hold.kind,
            "amount": format_credits(hold.amount),
            "reason": reason_of(hold),
            "created": hold.created,
        }
        for hold in holds.order_by("created")
    ]
