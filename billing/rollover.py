"""The free plan's allowance of each further month (UTC).

Everybody who has claimed a first one (``billing.allowance``) and is on the default plan now is
granted the plan's monthly allowance, under a key that names user and month. So it may run twice,
late, or on two machines at once: there is one grant a user and month. What is left of it expires
with the month.
"""

from datetime import UTC, datetime

import structlog
from django.db import OperationalError
from django.db.models import CharField, Exists, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Cast, Concat
from django.utils import timezone

from accounts.models import User
from billing import allowance
from billing.models import Entitlement, Plan
from common.errors import FareboxError, IdempotencyConflict
from ledger import verbs
from ledger.models import Grant, IdempotencyKey

log = structlog.get_logger(__name__)

BATCH = 500


def run(now: datetime | None = None) -> int:
    """Grant the month of ``now`` to all who have not got it; answers how many there were.

    Somebody whose wallet is busy is left to the next run.
    """
    now = now or timezone.now()
    plan = Plan.objects.filter(is_default=True).first()
    if plan is None or not plan.monthly_allowance:
        return 0
    granted = last = 0
    while users := list(_without(now, plan, after=last)):
        granted += sum(_grant(user, plan, now) for user in users)
        last = users[-1]
    return granted


def _without(now: datetime, plan: Plan, *, after: int) -> QuerySet[User, int]:
    """The ids of the next users who have no allowance of the month yet, ascending."""
    elsewhere = Entitlement.objects.filter(user=OuterRef("pk")).exclude(plan=plan)
    key = Concat(
        Value("allowance:"),
        Cast(OuterRef("pk"), CharField()),
        Value(f":{now.astimezone(UTC):%Y-%m}"),
    )
    has = IdempotencyKey.objects.filter(key=key)
    found = allowance.eligible().filter(~Exists(elsewhere), ~Exists(has), Q(pk__gt=after))
    return found.order_by("pk").values_list("pk", flat=True)[:BATCH]


def _grant(user: int, plan: Plan, now: datetime) -> bool:
    try:
        verbs.grant(
            account=verbs.wallet_of(user=user),
            amount=plan.monthly_allowance,
            kind=Grant.Kind.ALLOWANCE,
            key=allowance.key_of(user, now),
            expires_at=allowance.month_end(now),
            metadata={"reason": "monthly allowance", "plan": plan.slug},
        )
    except IdempotencyConflict:  # granted meanwhile, when the plan's allowance was another
        return False
    except OperationalError:
        raise  # the database is away; so are the others
    except FareboxError as error:
        log.warning("no allowance yet", user=user, error=type(error).__name__)
        return False
    return True
