"""The only place that writes ``Entitlement``."""

from datetime import datetime

from accounts.models import User
from billing.models import Entitlement, Plan


def assign_plan(
    *,
    user: User,
    plan: Plan,
    status: str = Entitlement.Status.ACTIVE,
    period_end: datetime | None = None,
) -> Entitlement:
    """Give ``user`` a plan, in place of the one they have."""
    entitlement, _ = Entitlement.objects.update_or_create(
        user=user,
        defaults={"plan": plan, "status": status, "period_end": period_end, "grace_until": None},
    )
    return entitlement


def current(user: User) -> Entitlement:
    """What ``user`` may do now; the default plan, unsaved, for somebody without a row."""
    found = Entitlement.objects.select_related("plan").filter(user=user).first()
    return found or Entitlement(user=user, plan=Plan.objects.get(is_default=True))
