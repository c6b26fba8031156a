"""What time does to the books: holds whose lease ran out end, lots that are due leave.

Any number of processes may do this at once; each hold and lot goes once. One hold a transaction:
a hold that can't be ended is logged and left for somebody to look at, and keeps no other waiting.
"""

import uuid

import django.db
import structlog
from django.db import connection
from django.db.models import QuerySet
from django.db.models.functions import Now

from accounts import events
from common.errors import FareboxError
from ledger import verbs
from ledger.database import Statement, run
from ledger.models import Hold

log = structlog.get_logger(__name__)

BATCH = 1000  # holds ended, or wallets looked at, in one go


def sweep() -> int:
    """End holds whose lease ran out, at most ``BATCH``; answers how many this call ended.

    A hold is captured at its checkpoint, or released without one. Paid calls are not among them:
    they end with a record, by ``usage.sweep``.
    """
    return end_each(Hold.objects.exclude(kind="call"), "ledger_sweep_one")


def end_each(holds: QuerySet[Hold], function: str) -> int:
    """Call an SQL function that ends one hold, for each stale one of ``holds``."""
    stale = holds.filter(state=Hold.State.OPEN, lease_until__lt=Now()).order_by("lease_until")
    ended = 0
    for hold, owner in list(stale.values_list("id", "account__owner")[:BATCH]):
        statement: Statement[uuid.UUID | None] = Statement(
            f"SELECT {function}(%(hold)s)", {"hold": hold}, lambda row: row[0]
        )
        try:
            if run(statement) is not None:
                ended += 1
                if owner is not None:
                    events.changed(owner)
        except django.db.OperationalError:
            raise  # the database is away; so are the others
        except (FareboxError, django.db.DatabaseError):
            log.exception("a hold could not be swept", hold=str(hold))
    return ended


def expire_lots() -> int:
    """Let every due lot's unheld part leave; answers how many microcredits left."""
    left = 0
    last = 0
    while wallets := _due(after=last):
        for wallet in wallets:
            try:
                left += verbs.expire(account=wallet).amount or 0
            except FareboxError:
                log.exception("a wallet's lots could not expire", wallet=wallet)
        last = wallets[-1]
    return left


def _due(*, after: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT ledger_due(%s, %s)", [after, BATCH])
        return [wallet for (wallet,) in cursor]
