"""Comparing with Stripe's books: what is paid there and what is granted here, one to one.

Everything paid that is ours is listed there (sessions, invoices, top-ups' intents, with their
charges and disputes) and only then compared with the rows here, so that what is applied meanwhile
is no difference. What is paid during the comparison may show up as one: run it again.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from billing.following import is_second
from billing.gateway.listing import listing, rest_of
from billing.models import Customer, Order, Payment
from billing.owners import ORDER, order_id
from billing.payments import intents, sessions
from billing.payments.charged import NOTHING, Charged, reckon
from billing.payments.invoices import subscription_of
from common.money import MICRO, format_credits
from ledger.models import Transfer
from ledger.reconcile import Books

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class There:
    """A paid object as Stripe has it. ``wrong`` says why it should not have been granted."""

    id: str
    key: str
    customer: str | None
    paid: int
    currency: str
    charged: Charged
    credits: int | None = None
    void: bool = False
    wrong: str = ""


def compare() -> tuple[dict[str, int], list[str]]:
    """Counts of what was compared, and a line for each difference. Must be called outside
    transactions; raises ``StripeUnavailable`` and ``StripeRefused``."""
    there = {one.id: one for one in _paid_there()}
    ours = set(Customer.objects.values_list("stripe_id", flat=True))
    here = {one.object_id: one for one in Payment.objects.filter(demo=False)}
    keys = [one.key for one in there.values()]
    granted = dict(Transfer.objects.filter(key__in=keys).values_list("key", "amount"))
    differences = [
        line
        for one in there.values()
        for line in _differences(one, here.get(one.id), granted.get(one.key, 0), ours)
    ]
    differences += [
        f"{payment.object_id}: {format_credits(payment.granted)} credits are granted here, and "
        "Stripe shows nothing paid for them"
        for id, payment in here.items()
        if id not in there
    ]
    counts = {"paid objects at Stripe": len(there), "payments here": len(here)}
    return counts, differences


def _differences(there: There, here: Payment | None, granted: int, ours: set[str]) -> Iterator[str]:
    what = f"{there.id}: {there.paid} {there.currency} paid"
    if here is None:
        if there.wrong:
            yield f"{what}, nothing granted: {there.wrong}"
        elif there.customer not in ours:
            yield f"{what} by {there.customer}, who is no customer here; nothing is granted"
        else:
            yield f"{what}, and nothing is granted here"
        return
    if there.wrong:
        yield f"{what}, and granted though: {there.wrong}"
    if (here.paid, here.currency) != (there.paid, there.currency):
        yield f"{what}, here it says {here.paid} {here.currency}"
    if granted != here.granted:
        yield (
            f"{what}, {format_credits(granted)} credits were granted under {there.key}, the "
            f"payment says {format_credits(here.granted)}"
        )
    if there.credits is not None and there.credits != here.granted:
        yield (
            f"{what} for {format_credits(there.credits)} credits, "
            f"{format_credits(here.granted)} are granted"
        )
    undone = (there.charged.refunded, there.charged.disputed)
    if there.void and sum(undone) < there.charged.amount:
        yield f"{what} for a second subscription, and only {undone[0]} refunded"
    if (here.refunded, here.disputed) != undone:
        yield (
            f"{what}, {undone[0]} refunded and {undone[1]} disputed there; here {here.refunded} "
            f"and {here.disputed}"
        )
    target = here.granted if there.void else there.charged.undone(here.granted)
    if here.revoked != target:
        yield (
            f"{what}, {format_credits(target)} credits are to be revoked, "
            f"{format_credits(here.revoked)} are"
        )


class _Money:
    """What was charged, by payment intent and by charge."""

    def __init__(self) -> None:
        disputes: dict[str, list[Json]] = defaultdict(list)
        for dispute in listing("/v1/disputes"):
            disputes[dispute["charge"]].append(dispute)
        self._of: dict[str, Charged] = {}
        for charge in listing("/v1/charges"):
            if charge["paid"]:
                found = reckon(charge, disputes[charge["id"]])
                self._of[charge["id"]] = found
                self._of[charge["payment_intent"] or ""] = found

    def of(self, id: str | None) -> Charged:
        return self._of.get(id or "", NOTHING)


class _Ours:
    """Which objects at Stripe are this deployment's: an account may serve others, too."""

    def __init__(self) -> None:
        self._customers = set(Customer.objects.values_list("stripe_id", flat=True))
        self._payments = set(Payment.objects.values_list("object_id", flat=True))

    def __contains__(self, one: Json) -> bool:
        return (
            one["customer"] in self._customers
            or one["id"] in self._payments
            or ORDER in (one["metadata"] or {})
        )


def _paid_there() -> Iterator[There]:
    ours, money = _Ours(), _Money()
    yield from _sessions(ours, money)
    yield from _invoices(ours, money)
    yield from _intents(ours, money)


def _sessions(ours: _Ours, money: _Money) -> Iterator[There]:
    found = [
        one
        for one in listing("/v1/checkout/sessions", status="complete")
        if one["mode"] == "payment" and one["payment_status"] != "unpaid" and one in ours
    ]
    orders = _orders(found)
    for session in found:
        order = orders.get(session["id"])
        yield There(
            id=session["id"],
            key=f"stripe:session:{session['id']}",
            customer=session["customer"],
            paid=session["amount_total"],
            currency=session["currency"],
            charged=money.of(session["payment_intent"]),
            credits=(order.quantity or 0) * MICRO if order else None,
            wrong=sessions.mismatch(session, order) if order else "there is no order for it",
        )


def _invoices(ours: _Ours, money: _Money) -> Iterator[There]:
    seconds = {one["id"] for one in listing("/v1/subscriptions", status="all") if is_second(one)}
    for invoice in listing("/v1/invoices", status="paid", expand=["data.payments"]):
        subscription = subscription_of(invoice)
        told = ((invoice["parent"] or {}).get("subscription_details") or {}).get("metadata") or {}
        if subscription is None or not (invoice in ours or ORDER in told):
            continue
        charged = NOTHING
        for one in rest_of(invoice["payments"]):
            if one["status"] == "paid":
                payment = one["payment"]
                charged += money.of(payment.get("payment_intent") or payment.get("charge"))
        yield There(
            id=invoice["id"],
            key=f"stripe:invoice:{invoice['id']}",
            customer=invoice["customer"],
            paid=invoice["amount_paid"],
            currency=invoice["currency"],
            charged=charged,
            void=subscription in seconds,
        )


def _intents(ours: _Ours, money: _Money) -> Iterator[There]:
    found = [
        one
        for one in listing("/v1/payment_intents")
        if one["status"] == "succeeded" and one in ours
    ]
    orders = _orders(found)
    for intent in found:
        order = orders.get(intent["id"])
        if order is None or order.kind != Order.Kind.TOP_UP:
            continue  # a session's, or an invoice's
        yield There(
            id=intent["id"],
            key=f"stripe:payment_intent:{intent['id']}",
            customer=intent["customer"],
            paid=intent["amount_received"],
            currency=intent["currency"],
            charged=money.of(intent["id"]),
            credits=(order.quantity or 0) * MICRO,
            wrong=intents.mismatch(intent, order),
        )


def _orders(objects: list[dict[str, Any]]) -> dict[str, Order]:
    """The orders that paid objects name in their metadata, by the objects' ids."""
    named = {one["id"]: order_id(one) for one in objects}
    rows = Order.objects.in_bulk([id for id in named.values() if id is not None])
    return {name: rows[id] for name, id in named.items() if id in rows}


BOOKS = Books(
    "stripe", "compare what is paid at Stripe with what is granted here, one to one", compare
)
