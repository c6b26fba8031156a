"""A plan's periods: what a paid invoice grants. The key of the grant is the invoice's id.

Each line of a plan's price grants that plan's monthly allowance in proportion to the line's
amount: a full period all of it, a proration its part, and what an upgrade gives back is taken off.
A line's amount stands before discounts and taxes, so a promotion code grants no less. The sum is
exact, and floored once. A trial's line costs nothing and grants the plan's trial allowance, on the
subscription's first invoice alone: Stripe makes one for nothing each time a trial is changed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any

import structlog
from djstripe.models import Invoice

from billing.following import follow_subscription, is_second
from billing.gateway.listing import rest_of
from billing.gateway.mirror import fetch, refresh_if
from billing.gateway.values import instant, linked
from billing.models import Payment, PlanPrice
from billing.owners import customer_by_id, order_of
from billing.payments.charged import NOTHING, Charged, charged
from billing.payments.paid import Paid, settle
from ledger.models import Grant

log = structlog.get_logger(__name__)

Json = Mapping[str, Any]
FIRST = "subscription_create"  # the billing reason of a subscription's first invoice


@dataclass(frozen=True, slots=True)
class Allowance:
    """What an invoice grants: ``amount`` microcredits until ``period_end``."""

    amount: int
    price: PlanPrice
    period_start: datetime
    period_end: datetime
    is_trial: bool = False


def apply_invoice(id: str) -> Payment | None:
    """Look at an invoice and its subscription, and let mirror, entitlement, payment and credits
    agree with them. ``None`` when it is not ours, not paid, or not for a plan."""
    return settle(lambda: _look(id))


def subscription_of(invoice: Json) -> str | None:
    """The id of the subscription that an invoice is for."""
    parent = (invoice.get("parent") or {}).get("subscription_details") or {}
    return linked(parent.get("subscription")) or None


def _look(id: str) -> Paid | None:
    row = refresh_if(Invoice, id, lambda data: customer_by_id(data["customer"]), ["payments"])
    if row is None:
        log.info("an invoice of a customer unknown here", invoice=id)
        return None
    invoice = row.stripe_data
    subscription = follow_subscription(name) if (name := subscription_of(invoice)) else None
    if subscription is None or invoice["status"] != "paid":
        return None
    allowance = allowance_of(invoice, rest_of(invoice["lines"]), subscription.stripe_data)
    customer = customer_by_id(invoice["customer"])
    if allowance is None or customer is None:
        return None
    intents, sum_charged = _charged(invoice)
    return Paid(
        object_id=id,
        key=f"stripe:invoice:{id}",
        user=customer.user,
        kind=Payment.Kind.PLAN,
        grant_kind=Grant.Kind.ALLOWANCE,
        credits=allowance.amount,
        paid=invoice["amount_paid"],
        currency=invoice["currency"],
        charged=sum_charged,
        void=is_second(subscription.stripe_data),
        plan=allowance.price.plan,
        order=order_of(subscription.stripe_data, customer),
        payment_intent=intents[0] if intents else "",
        period_start=allowance.period_start,
        period_end=allowance.period_end,
        expires_at=allowance.period_end,
        is_trial=allowance.is_trial,
        invoice_url=invoice.get("hosted_invoice_url") or "",
    )


def allowance_of(invoice: Json, lines: Iterable[Json], subscription: Json) -> Allowance | None:
    """What the lines of an invoice grant together; ``None`` without a line of a plan's.

    Lines of other prices, and in another currency than the price's, grant nothing and are logged.
    """
    total = Fraction(0)
    granting: list[tuple[int, Json, PlanPrice]] = []
    trial = 0
    trials = _Trial(subscription)
    for line in lines:
        price = _price_of(line)
        if price is None or not price.amount or price.currency != invoice["currency"]:
            log.error("a line of an invoice that grants nothing", invoice=invoice["id"],
                      line=line["id"], currency=invoice["currency"])  # fmt: skip
            continue
        end = line["period"]["end"]
        if trials.covers(line):
            trial = max(trial, price.plan.trial_allowance)
            end = trials.end
        else:
            total += Fraction(price.plan.monthly_allowance * line["amount"], price.amount)
        if line["amount"] >= 0:
            granting.append((end, line, price))
    if not granting:
        return None
    end, line, price = max(granting, key=lambda one: one[0])
    if invoice["billing_reason"] != FIRST:
        trial = 0
    amount = max(0, total.numerator // total.denominator) + trial
    return Allowance(
        amount, price, instant(line["period"]["start"]), instant(end), is_trial=trial > 0
    )


class _Trial:
    """A subscription's trial, if it has or had one."""

    def __init__(self, subscription: Json) -> None:
        self.start: int = subscription.get("trial_start") or 0
        self.end: int = subscription.get("trial_end") or 0

    def covers(self, line: Json) -> bool:
        return line["amount"] == 0 and self.start <= line["period"]["start"] < self.end


def _price_of(line: Json) -> PlanPrice | None:
    details = (line.get("pricing") or {}).get("price_details") or {}
    id = linked(details.get("price"))
    return PlanPrice.objects.select_related("plan").filter(stripe_id=id).first() if id else None


def _charged(invoice: Json) -> tuple[list[str], Charged]:
    """The payment intents that paid an invoice, and what was charged by them together."""
    intents: list[str] = []
    total = NOTHING
    for one in rest_of(invoice["payments"]):
        payment = one["payment"]
        if one["status"] != "paid":
            continue
        if payment["type"] == "payment_intent":
            intents.append(payment["payment_intent"])
            total += charged(fetch("payment_intent", intents[-1], ["latest_charge"]))
        elif payment["type"] == "charge":
            total += charged({"latest_charge": fetch("charge", payment["charge"])})
    return intents, total
