"""What people are written to about their subscription, by what the mirror has of it.

Letters are kept once for their cause (``billing.letters``), so this may be called for any event,
any number of times.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from djstripe.models import Invoice, Subscription

from billing import entitlements, letters
from billing.following import is_second
from billing.gateway.values import instant, linked
from billing.models import Customer, PlanPrice
from billing.payments.invoices import subscription_of

Json = Mapping[str, Any]


def subscription_changed(row: Subscription) -> None:
    """That it was canceled, or has ended."""
    data = row.stripe_data
    found = _whose(data)
    if found is None or is_second(data):
        return
    customer, price = found
    ended = data["status"] == "canceled"
    ends_at = _ends_at(data)
    if ends_at is not None and data["status"] in ("trialing", "active", "past_due", "canceled"):
        with transaction.atomic():
            letters.subscription_canceled(
                customer.user,
                subscription=data["id"],
                plan=price.plan.name,
                ends_at=ends_at,
                ended=ended,
            )


def trial_ending(row: Subscription) -> None:
    """That a trial ends soon and what is due then."""
    data = row.stripe_data
    found = _whose(data)
    ends_at = instant(data["trial_end"])
    if found is None or data["status"] != "trialing" or ends_at is None:
        return
    if ends_at <= timezone.now() or _ends_at(data) is not None:
        return
    customer, price = found
    with transaction.atomic():
        letters.trial_ending(
            customer.user,
            subscription=data["id"],
            plan=price.plan.name,
            ends_at=ends_at,
            amount=price.amount,
            currency=price.currency,
        )


def invoice_failed(id: str) -> None:
    """That a renewal was declined, while it is not paid. Whom the first payment fails is at the
    page that says so."""
    invoice = Invoice.objects.filter(id=id).values_list("stripe_data", flat=True).first()
    if invoice is None or invoice["status"] != "open" or not invoice["attempted"]:
        return
    if invoice["billing_reason"] == "subscription_create":
        return
    row = Subscription.objects.filter(id=subscription_of(invoice)).first()
    found = _whose(row.stripe_data) if row else None
    if row is None or found is None:
        return
    customer, price = found
    now = entitlements.current(customer.user)
    with transaction.atomic():
        letters.payment_failed(
            customer.user,
            invoice=id,
            amount=invoice["amount_remaining"],
            currency=invoice["currency"],
            plan=price.plan.name,
            until=now.grace_until if now.subscription == row.id else None,
            url=invoice.get("hosted_invoice_url") or "",
            attempt=invoice["attempt_count"],
        )


def _whose(subscription: Json) -> tuple[Customer, PlanPrice] | None:
    """The customer of a subscription, unless they are leaving, and what it is for."""
    id = linked(subscription["customer"])
    customer = Customer.objects.select_related("user").filter(stripe_id=id, closing_at=None).first()
    prices = [item["price"]["id"] for item in subscription["items"]["data"]]
    price = PlanPrice.objects.select_related("plan").filter(stripe_id__in=prices).first()
    return (customer, price) if customer and price else None


def _ends_at(subscription: Json) -> datetime | None:
    """When it ends or has ended, if that is known."""
    if subscription["status"] == "canceled":
        return instant(subscription["ended_at"])
    if subscription["cancel_at_period_end"]:
        return instant(subscription["items"]["data"][0]["current_period_end"])
    return instant(subscription["cancel_at"])
