"""What ``/api/me`` and the account's socket tell: account, plan, balance, this month.

Of any number of users in one statement, since a web process reads it for all its sockets at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import structlog
from django.db import connection
from django.utils import timezone

from accounts.models import User
from common.errors import FareboxError
from common.money import format_credits
from ledger import verbs
from ledger.verbs import Balance

log = structlog.get_logger(__name__)

# The default plan holds for somebody without a row, as in usage_begin and billing.entitlements.
_SQL = """
SELECT u.id, u.email, p.slug, p.name, coalesce(e.status, 'active'), e.period_end,
       coalesce(w.posted, 0), coalesce(w.held, 0), coalesce(w.owed, 0),
       m.requests, m.input_tokens, m.output_tokens, m.spent,
       CASE WHEN EXISTS (
           SELECT FROM ledger_grant g
           WHERE g.account_id = w.id AND NOT g.exhausted AND g.expires_at <= clock_timestamp()
       ) THEN w.id END
FROM accounts_user u
LEFT JOIN billing_entitlement e ON e.user_id = u.id
JOIN billing_plan p
    ON p.id = coalesce(e.plan_id, (SELECT id FROM billing_plan WHERE is_default))
LEFT JOIN ledger_account w ON w.owner_id = u.id AND w.kind = 'wallet'
CROSS JOIN LATERAL (
    SELECT coalesce(sum(requests), 0)::bigint AS requests,
           coalesce(sum(input_tokens), 0)::bigint AS input_tokens,
           coalesce(sum(output_tokens), 0)::bigint AS output_tokens,
           coalesce(sum(spent), 0)::bigint AS spent
    FROM usage_monthlyusage WHERE user_id = u.id AND month = %s
) m
WHERE u.id = ANY (%s)
"""


@dataclass(frozen=True, slots=True)
class CurrentPlan:
    """The plan somebody has now. ``period_end``: when it ends or renews, if it does."""

    slug: str
    name: str
    status: str
    period_end: datetime | None


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month (UTC): counts, and ``spent`` microcredits."""

    month: str
    requests: int
    input_tokens: int
    output_tokens: int
    spent: int


@dataclass(frozen=True, slots=True)
class State:
    """One user's state, as ``accounts.hub`` and ``/api/me`` take it."""

    email: str
    plan: CurrentPlan
    balance: Balance
    month: Month

    def body(self) -> dict[str, Any]:
        """The body of ``/api/me``, as ``serializers.MeSerializer`` describes it. By hand, since a
        serializer takes ten times as long, and a process may have thousands of sockets."""
        month = self.month
        return {
            "email": self.email,
            "plan": self.plan_body(),
            "balance": self.balance_body(),
            "month": {
                "month": month.month,
                "requests": month.requests,
                "input_tokens": month.input_tokens,
                "output_tokens": month.output_tokens,
                "spent": format_credits(month.spent),
            },
        }

    def plan_body(self) -> dict[str, Any]:
        plan = self.plan
        end = plan.period_end and plan.period_end.astimezone(UTC).isoformat()
        return {
            "slug": plan.slug,
            "name": plan.name,
            "status": plan.status,
            "period_end": end and end.replace("+00:00", "Z"),
        }

    def balance_body(self) -> dict[str, Any]:
        balance = self.balance
        return {
            "available": format_credits(balance.available),
            "held": format_credits(balance.held),
            "posted": format_credits(balance.posted),
        }


def state_of(user: User) -> State:
    """A user's state, one query. Lots whose date has passed are expired first, so that nobody is
    shown credits that no hold could take. May raise ``Unavailable``."""
    (state,) = _read([user.pk]).values()
    return state


def states_of(users: Sequence[int]) -> dict[int, State]:
    """The same of many by their ids, one query; who is not there any more is left out.

    A due lot that can't leave now (the wallet is busy) leaves later; its owner is told then.
    """
    return _read(users, patient=True)


def _read(users: Sequence[int], *, patient: bool = False) -> dict[int, State]:
    month = timezone.now().astimezone(UTC).strftime("%Y-%m")
    with connection.cursor() as cursor:
        cursor.execute(_SQL, [month, list(users)])
        rows = cursor.fetchall()
    states: dict[int, State] = {}
    due: dict[int, int] = {}
    for user, email, slug, name, status, period_end, posted, held, owed, *counts, wallet in rows:
        states[user] = State(
            email,
            CurrentPlan(slug, name, status, period_end),
            Balance(posted=posted, held=held, available=posted - held, owed=owed),
            Month(month, *counts),
        )
        if wallet is not None:
            due[user] = wallet
    for user, wallet in due.items():
        try:
            states[user] = replace(states[user], balance=verbs.expire(account=wallet).balance)
        except FareboxError as error:
            if not patient:
                raise
            log.warning("due lots stay for now", wallet=wallet, error=error.code)
    return states
