"""Asking Stripe for a subscription, and letting the entitlement follow it.

A person can pay two Checkout pages that were open side by side. The later subscription is a
second one then: it is marked so at Stripe, canceled, and what it took is refunded whole. The mark
is what ``billing.payments`` goes by: for a second one nothing stays granted.
"""

from collections.abc import Mapping
from typing import Any

import stripe
import structlog
from djstripe.models import Subscription

from billing import entitlements
from billing.errors import StripeRefused
from billing.gateway.client import api, asking
from billing.gateway.listing import listing
from billing.gateway.mirror import absent, refresh, refresh_if
from billing.owners import ORDER, customer_by_id

log = structlog.get_logger(__name__)

SECOND = "farebox_second"  # metadata: the subscription that is kept instead
EXPAND = ["schedule"]  # the plan that is to come is in it
# What a subscription can be in that still costs or gives something.
LIVE = ("trialing", "active", "past_due")

# Why Stripe refunds nothing: the money is back already, or the bank has it.
_GONE = ("charge_already_refunded", "charge_disputed")

Json = Mapping[str, Any]


def is_second(subscription: Json) -> bool:
    """Whether it was found to be one too many."""
    return bool((subscription.get("metadata") or {}).get(SECOND))


def follow_subscription(id: str) -> Subscription | None:
    """Keep a subscription as Stripe has it now, end a second one, let the entitlement follow.

    ``None`` for one of a customer unknown here. Must be called outside transactions; raises
    ``StripeUnavailable`` and ``StripeRefused``.
    """
    row = refresh_if(Subscription, id, lambda data: customer_by_id(data["customer"]), EXPAND)
    if row is None:
        log.info("a subscription of a customer unknown here", subscription=id)
        return None
    customer = customer_by_id(row.stripe_data["customer"])
    if customer is None:
        return None
    try:
        if _end_second(customer.stripe_id):
            row = refresh(Subscription, id, EXPAND)
        elif is_second(row.stripe_data):
            _pay_back(id)  # whoever ended it may not have come so far
    finally:  # the plan that is kept holds, whatever Stripe says of the other one
        entitlements.follow(customer.user)
    return row


def _live(customer: str) -> list[Subscription]:
    """Those our own Checkout made, the oldest first. What staff made at Stripe is theirs."""
    rows = Subscription.objects.filter(customer=customer, stripe_data__status__in=LIVE)
    ours = [row for row in rows if ORDER in (row.stripe_data.get("metadata") or {})]
    return sorted(ours, key=lambda row: (row.stripe_data["created"], row.id))


def _end_second(customer: str) -> bool:
    """End all but the oldest live subscription; answers whether there was one to end."""
    if len(_live(customer)) < 2:
        return False
    for row in _live(customer):  # what the mirror has may be old
        refresh(Subscription, row.id, EXPAND)
    kept, *others = _live(customer) or [None]
    for other in others:
        assert kept is not None
        log.warning("a second subscription is ended and refunded", customer=customer,
                    kept=kept.id, ended=other.id)  # fmt: skip
        _end(other.id, kept.id)
    return bool(others)


def _end(id: str, kept: str) -> None:
    """Each step can be repeated; the mark comes first, so that nothing is granted meanwhile."""
    with asking("end a second subscription"):
        api().v1.subscriptions.update(id, {"metadata": {SECOND: kept}})
        try:
            api().v1.subscriptions.cancel(id)
        except stripe.InvalidRequestError as error:
            if not absent(error):  # else it is canceled already
                raise
    refresh(Subscription, id, EXPAND)
    _pay_back(id)


def _pay_back(id: str) -> None:
    """All that was paid for a subscription, where it is not back yet."""
    for invoice in listing("/v1/invoices", subscription=id, expand=["data.payments"]):
        for one in invoice["payments"]["data"]:
            if one["status"] == "paid" and one["payment"]["type"] == "payment_intent":
                _refund(one["payment"]["payment_intent"])


def _refund(intent: str) -> None:
    try:
        with asking("refund a second subscription"):
            api().v1.refunds.create(
                {"payment_intent": intent, "reason": "duplicate"},
                {"idempotency_key": f"farebox:second:{intent}"},
            )
    except StripeRefused as error:
        cause = error.__cause__
        if not isinstance(cause, stripe.StripeError) or cause.code not in _GONE:
            raise
