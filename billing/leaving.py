"""Billing's part in leaving. Imported when the app is ready."""

from collections.abc import Iterator
from typing import Any

from django.utils import timezone
from djstripe.models import Customer as MirroredCustomer

from accounts.leaving import exports, on_leaving
from accounts.models import User
from billing import closing, entitlements
from billing.gateway.traces import told
from billing.models import (
    Allowance,
    Customer,
    DemoSubscription,
    Entitlement,
    Letter,
    Order,
    Payment,
    TopUp,
)
from common.money import format_credits, format_money

ROWS = 1000  # read at a time


@on_leaving
def end_plan(user: User) -> None:
    """Nobody has a plan any more who is gone."""
    entitlements.end(user=user)
    Allowance.objects.filter(user=user).delete()
    DemoSubscription.objects.filter(user=user).delete()


@on_leaving
def end_payments(user: User) -> None:
    """Nothing is bought any more. Orders and payments stay as the books' evidence, without the
    addresses of pages and the caller's keys; what Stripe has is ended after commit.

    An order whose money is on its way stays pending: it is granted into the closed wallet.
    """
    for model in (TopUp, Letter):
        model.objects.filter(user=user).delete()
    orders = Order.objects.filter(user=user)
    orders.filter(state=Order.State.OPEN).update(state=Order.State.EXPIRED, ended=timezone.now())
    orders.update(url="", key="")
    closing.begin(user)


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


@exports("orders", Order)
def orders(user: User) -> Iterator[dict[str, Any]]:
    """What they set out to buy, paid or not; oldest first."""
    rows = Order.objects.filter(user=user).select_related("plan").order_by("created")
    for row in rows.iterator(ROWS):
        yield {
            "id": row.pk,
            "kind": row.kind,
            "plan": row.plan.slug if row.plan else None,
            "quantity": row.quantity,
            "amount": format_money(row.amount, row.currency),
            "state": row.state,
            "demo": row.demo,
            "created": row.created,
            "ended": row.ended,
        }


@exports("payments", Payment)
def payments(user: User) -> Iterator[dict[str, Any]]:
    """What they paid, what was granted for it, and what refunds and disputes took back."""
    rows = Payment.objects.filter(user=user).select_related("plan").order_by("id")
    for row in rows.iterator(ROWS):
        yield {
            "id": row.object_id,
            "kind": row.kind,
            "plan": row.plan.slug if row.plan else None,
            "paid": format_money(row.paid, row.currency),
            "refunded": format_money(row.refunded, row.currency),
            "disputed": format_money(row.disputed, row.currency),
            "granted": format_credits(row.granted),
            "revoked": format_credits(row.revoked),
            "demo": row.demo,
            "period_start": row.period_start,
            "period_end": row.period_end,
            "created": row.created,
        }


@exports("stripe", Customer, MirroredCustomer)
def stripe(user: User) -> dict[str, Any] | None:
    """Who they are at Stripe, and what Stripe told of them: customer, cards (their last digits),
    subscriptions and invoices, as it is kept here."""
    customer = Customer.objects.filter(user=user).first()
    return {"customer": customer.stripe_id} | told(customer.stripe_id) if customer else None


@exports("mails_about_money", Letter)
def mails_about_money(user: User) -> list[dict[str, Any]]:
    """Those of the last months, and what each was about."""
    rows = Letter.objects.filter(user=user).order_by("id")
    return [dict(row) for row in rows.values("template", "about", "created", "sent_at")]


@exports("automatic_top_up", TopUp)
def automatic_top_up(user: User) -> dict[str, Any] | None:
    found = TopUp.objects.filter(user=user).first()
    if found is None:
        return None
    return {
        "enabled": found.enabled,
        "threshold": format_credits(found.threshold),
        "quantity": found.quantity,
        "monthly_cap": found.monthly_cap,
        "updated_at": found.updated_at,
    }


@exports("demo_subscriptions", DemoSubscription)
def demo_subscriptions(user: User) -> list[dict[str, Any]]:
    rows = DemoSubscription.objects.filter(user=user).select_related("plan").order_by("id")
    return [
        {
            "plan": row.plan.slug,
            "period_start": row.period_start,
            "period_end": row.period_end,
            "cancel_at_period_end": row.cancel_at_period_end,
            "ended_at": row.ended_at,
            "created": row.created,
        }
        for row in rows
    ]
