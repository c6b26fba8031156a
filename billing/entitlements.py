"""The only place that writes ``Entitlement``."""

from datetime import datetime

from accounts import events
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
    events.changed(user.pk)
    return entitlement


def end(*, user: User) -> None:
    """Take a user's plan away; the default plan is left to them."""
    Entitlement.objects.filter(user=user).delete()
    events.changed(user.pk)


def current(user: User) -> Entitlement:
    """What ``user`` may do now; the default plan, unsaved, for somebody without a row."""
    found = Entitlement.objects.select_related("plan").filter(user=user).first()
    return found or Entitlement(user=user, plan=Plan.objects.get(is_default=True))
