"""Wallets that run low: their marks, and the mail about it.

The mark is kept with the wallet, and the database says when it was crossed
(``ledger/sql/primitives.sql``). It is the threshold of an automatic top-up, or
``LOW_BALANCE_CREDITS`` for whoever has paid before or has a plan with an allowance, unless they
want no mail. A wallet that is below that mark already gets it once it is above: nobody is told of
a mark they never crossed.
"""

from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import User
from billing import letters
from billing.models import TopUp
from common.errors import FareboxError
from common.money import MICRO
from ledger import marks
from ledger.models import Account

log = structlog.get_logger(__name__)

BATCH = 1000
# A mail waits for as long: a month's allowance comes a moment after the last one has expired.
QUIET = timedelta(minutes=2)
A_DAY = timedelta(days=1)
NEWS = timedelta(days=7)  # who ran low before that and heard nothing, hears nothing now

_MARKS = """
WITH wanted AS (
    SELECT a.id, a.low_mark, a.posted - a.held AS available, coalesce(t.enabled, false) AS buys,
        CASE
            WHEN NOT u.is_active OR a.closed_at IS NOT NULL THEN NULL
            WHEN t.enabled THEN t.threshold
            WHEN %(mark)s > 0 AND coalesce(t.low_balance_mail, true) AND (
                EXISTS (SELECT FROM billing_payment p WHERE p.user_id = u.id)
                OR EXISTS (SELECT FROM billing_allowance f
                           WHERE f.user_id = u.id AND f.claimed_at IS NOT NULL)
                OR EXISTS (SELECT FROM billing_entitlement e JOIN billing_plan p ON p.id = e.plan_id
                           WHERE e.user_id = u.id AND p.monthly_allowance > 0)
            ) THEN %(mark)s
        END AS mark
    FROM ledger_account a
    JOIN accounts_user u ON u.id = a.owner_id
    LEFT JOIN billing_topup t ON t.user_id = u.id
    WHERE a.kind = 'wallet' AND (%(user)s::bigint IS NULL OR u.id = %(user)s)
)
SELECT id, mark FROM wanted
WHERE mark IS DISTINCT FROM low_mark AND (mark IS NULL OR buys OR available >= mark)
LIMIT %(limit)s
"""

_LOW = """
SELECT a.owner_id FROM ledger_account a
JOIN accounts_user u ON u.id = a.owner_id
LEFT JOIN billing_topup t ON t.user_id = a.owner_id
WHERE a.low_since > %(news)s AND a.low_since <= %(quiet)s AND u.is_active
  AND NOT coalesce(t.enabled, false) AND coalesce(t.low_balance_mail, true)
  AND t.low_attended IS DISTINCT FROM a.low_since
  AND (t.low_mailed_at IS NULL OR t.low_mailed_at <= %(day)s)
ORDER BY a.low_since LIMIT %(limit)s
"""


def mark(user: int) -> None:
    """Give a user's wallet the mark it should have. May be called in a transaction."""
    _mark(user)


def mark_all() -> int:
    """The same for everybody, at most ``BATCH`` at a time; answers how many were changed."""
    done = 0
    while changed := _mark(None):
        done += changed
        if changed < BATCH:
            break
    return done


def _mark(user: int | None) -> int:
    wanted = {"mark": settings.LOW_BALANCE_CREDITS * MICRO, "user": user, "limit": BATCH}
    changed = 0
    for account, mark in _rows(_MARKS, wanted):
        try:
            marks.set_low_mark(account=account, mark=mark)
            changed += 1
        except FareboxError as error:  # the wallet is busy; there is a next time
            log.warning("a low mark is not set yet", wallet=account, error=type(error).__name__)
    return changed


def mail_due(now: datetime | None = None) -> int:
    """Tell everybody whose wallet has run low and who has no top-up; answers how many were.

    Once a crossing and once a day: who crosses it twice a day hears of the second a day after the
    first, if they are still low then. Two processes at once tell once.
    """
    now = now or timezone.now()
    due = {"news": now - NEWS, "quiet": now - QUIET, "day": now - A_DAY, "limit": BATCH}
    return sum(_tell(user, now) for (user,) in _rows(_LOW, due))


def _tell(user_id: int, now: datetime) -> bool:
    with transaction.atomic():
        TopUp.objects.get_or_create(user_id=user_id)
        row = TopUp.objects.select_for_update().filter(user_id=user_id).first()
        wallet = wallet_of(user_id)
        if (
            row is None
            or wallet is None
            or wallet.low_since is None
            or row.low_attended == wallet.low_since
        ):
            return False
        if row.enabled or not row.low_balance_mail:
            return False
        letters.low_balance(
            User.objects.get(pk=user_id), available=wallet.available, since=wallet.low_since
        )
        row.low_attended, row.low_mailed_at = wallet.low_since, now
        row.save(update_fields=["low_attended", "low_mailed_at", "updated_at"])
        return True


def wallet_of(user: int) -> Account | None:
    """A user's wallet as it is now."""
    return Account.objects.filter(owner=user, kind=Account.Kind.WALLET).first()


def _rows(sql: str, params: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())
