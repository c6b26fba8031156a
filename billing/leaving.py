"""Billing's part in leaving. Imported when the app is ready."""

from typing import Any

from accounts.leaving import exports, on_leaving
from accounts.models import User
from billing import entitlements
from billing.models import Allowance, Entitlement


@on_leaving
def end_plan(user: User) -> None:
    """Nobody has a plan any more who is gone."""
    entitlements.end(user=user)
    Allowance.objects.filter(user=user).delete()


@exports("plan", Entitlement)
def plan(user: User) -> dict[str, Any]:
    now = entitlements.current(user)
    return {
        "plan": now.plan.slug,
        "name": now.plan.name,
        "status": now.status,
        "period_end": now.period_end,
        "grace_until": now.grace_until,
    }


@exports("allowance", Allowance)
def allowance(user: User) -> dict[str, Any]:
    """When they claimed the free plan's allowance first."""
    found = Allowance.objects.filter(user=user).first()
    return {"claimed_at": found.claimed_at if found else None}
