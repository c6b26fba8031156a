"""What somebody was billed and paid: the invoices of their plan, and single payments for credits.

Stripe makes invoices for plans, kept in the mirror; bought credits and what the demo mode sold have
none and are shown from ``Payment``. Both are read by keyset, newest first, and merged.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Q
from djstripe.models import Charge, Invoice

from accounts.models import User
from billing.models import Customer, Payment
from common.paging import Cursor, bad_cursor

PARTS = 3  # of a cursor: the instant, the kind, and the row's number


@dataclass(frozen=True)
class Bill:
    """``amount`` is minor units of ``currency``, taxes in and discounts off. ``status`` is
    Stripe's of an invoice (open, paid, uncollectible, void); of a single payment paid, refunded
    or disputed. ``url`` and ``pdf`` are pages of Stripe's. ``kind`` (invoice or payment) and
    ``row``, our number of it, make its place."""

    id: str
    number: str | None
    created: datetime
    amount: int
    currency: str
    status: str
    url: str | None
    pdf: str | None
    description: str
    kind: str
    row: int

    @property
    def order(self) -> tuple[datetime, str, int]:
        """Of one instant, invoices come before payments."""
        return (self.created, self.kind, self.row)

    @property
    def place(self) -> tuple[str, str, str]:
        """Its place in the list, for a cursor."""
        return (self.created.isoformat(), self.kind, str(self.row))


def bills(user: User, cursor: Cursor | None, count: int) -> list[Bill]:
    """At most ``count`` bills nearest to ``cursor``, as ``common.paging`` wants them: newest first
    for older ones, oldest first for newer ones. Raises ``BadInput`` for a forged cursor."""
    newer = cursor is not None and cursor.newer
    found = [*_invoices(user, cursor, count), *_payments(user, cursor, count)]
    return sorted(found, key=lambda bill: bill.order, reverse=not newer)[:count]


def without_pages(bill: Bill) -> Bill:
    """For a program that shows a key: a page of Stripe's needs no other proof than its address,
    and shows more than a key that leaked should."""
    return replace(bill, url=None, pdf=None)


def _near(cursor: Cursor | None, kind: str, pk: str) -> Q:
    """The condition on which rows of a kind are beyond the cursor; ``pk`` is their number's
    column."""
    if cursor is None:
        return Q()
    try:
        at, number = datetime.fromisoformat(cursor.place[0]), int(cursor.place[2])
    except ValueError:
        raise bad_cursor() from None
    if at.tzinfo is None or abs(number) >= 2**63:
        raise bad_cursor()
    side = "gt" if cursor.newer else "lt"
    if kind == cursor.place[1]:
        same = Q(created=at, **{f"{pk}__{side}": number})
    else:  # of one instant, all of a kind come before those of the other
        beyond = kind > cursor.place[1] if cursor.newer else kind < cursor.place[1]
        same = Q(created=at) if beyond else Q(pk=None)
    return Q(**{f"created__{side}": at}) | same


def _sorted(cursor: Cursor | None, pk: str) -> tuple[str, str]:
    return ("created", pk) if cursor and cursor.newer else ("-created", f"-{pk}")


def _invoices(user: User, cursor: Cursor | None, count: int) -> list[Bill]:
    customer = Customer.objects.filter(user=user).first()
    near = _near(cursor, "invoice", "djstripe_id")
    if customer is None:
        return []
    rows = Invoice.objects.filter(near, customer=customer.stripe_id)
    rows = rows.exclude(stripe_data__status="draft").exclude(created=None)
    page = rows.order_by(*_sorted(cursor, "djstripe_id"))[:count]
    return [_of_invoice(row) for row in page]


def _of_invoice(row: Invoice) -> Bill:
    data: dict[str, Any] = row.stripe_data
    lines = (data.get("lines") or {}).get("data") or []
    return Bill(
        id=data["id"],
        number=data.get("number"),
        created=row.created,
        amount=data["total"],
        currency=data["currency"],
        status=data["status"],
        url=data.get("hosted_invoice_url"),
        pdf=data.get("invoice_pdf"),
        description=(data.get("description") or (lines[-1].get("description") if lines else "")
                     or "Invoice"),
        kind="invoice",
        row=row.djstripe_id,
    )  # fmt: skip


def _payments(user: User, cursor: Cursor | None, count: int) -> list[Bill]:
    """Those that no invoice tells of."""
    rows = Payment.objects.filter(_near(cursor, "payment", "id"), user=user)
    rows = rows.exclude(kind=Payment.Kind.PLAN, demo=False).select_related("order", "plan")
    page = list(rows.order_by(*_sorted(cursor, "id"))[:count])
    receipts = _receipts([row.payment_intent for row in page if row.payment_intent])
    return [_of_payment(row, receipts.get(row.payment_intent)) for row in page]


def _receipts(intents: list[str]) -> dict[str, str]:
    """The pages of Stripe's that show what a payment intent paid, by its id."""
    rows = Charge.objects.filter(stripe_data__payment_intent__in=intents, stripe_data__paid=True)
    found = rows.values_list("stripe_data__payment_intent", "stripe_data__receipt_url")
    return {intent: url for intent, url in found if url}


def _of_payment(row: Payment, receipt: str | None) -> Bill:
    status = "disputed" if row.disputed else "refunded" if row.refunded else "paid"
    return Bill(
        id=row.object_id,
        number=None,
        created=row.created,
        amount=row.paid,
        currency=row.currency,
        status=status,
        url=receipt,
        pdf=None,
        description=_what(row) + (" (demo, nothing was paid)" if row.demo else ""),
        kind="payment",
        row=row.pk,
    )


def _what(row: Payment) -> str:
    if row.plan is not None:
        return f"{row.plan.name}, a month"
    quantity = row.order.quantity if row.order else None
    what = f"{quantity:,} {settings.CREDIT_NAME}" if quantity else str(settings.CREDIT_NAME)
    return f"{what}, automatic top-up" if row.kind == Payment.Kind.TOP_UP else what
