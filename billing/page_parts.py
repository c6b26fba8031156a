"""What the billing page shows, part by part. It asks the database only, never Stripe."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.db.models import Sum
from django.http import HttpRequest
from django.urls import reverse

from accounts.models import User
from billing import invoices, pricing, subscriptions, trials
from billing.models import Customer, Plan
from billing.plan_offers import PlanOffer, amount, credit_prices, offers
from billing.returns import returned
from billing.standing import BOUGHT, standing_of
from billing.top_up_parts import top_up_parts
from billing.wording import day, for_people, whole
from common.errors import BadInput, FareboxError
from common.money import MICRO, format_credits, format_money, parse_credits
from common.paging import Cursor
from ledger.models import Account, Grant

USUAL_QUANTITY = 100  # what the field of credits begins with
BILLS = 10  # a page
LOTS = 2  # dates of expiry that are shown


def parts(request: HttpRequest, user: User, error: FareboxError | None) -> dict[str, Any]:
    """The page's context. What was typed is read back from ``request.POST``, and after an
    ``error`` stays as it was."""
    paid = request.GET.get("paid", "") if request.method == "GET" else ""
    address = request.get_full_path() if request.method == "GET" else reverse("billing")
    now = subscriptions.show(user)
    return {
        "address": address,
        "error": error.message if error and not _is_of_a_field(error) else "",
        "paid": returned(user, paid) if paid else None,
        "chosen": request.GET.get("plan", ""),
        **common_parts(user, now),
        **wallet_parts(user),
        **credit_parts(request, error),
        **invoice_parts(request, user),
        **top_up_parts(request, user, error),
        "offers": offers_to(user, now),
    }


def _is_of_a_field(error: FareboxError) -> bool:
    return error.param in ("quantity", "threshold", "monthly_cap")


def offers_to(user: User, now: Mapping[str, Any]) -> list[PlanOffer]:
    """The plans that somebody may choose from: a trial is for whoever had no plan before, and who
    has one is shown the others that are paid, if there are any."""
    found = offers()
    if now["source"] in BOUGHT:
        found = [offer for offer in found if offer.price]
        if all(offer.plan.slug == now["plan"]["slug"] for offer in found):
            return []
    if now["source"] in BOUGHT or now["ended_at"] or trials.had(user):
        found = [replace(offer, trial="") for offer in found]
    return found


def common_parts(user: User, now: Mapping[str, Any]) -> dict[str, Any]:
    """What every page of billing shows, of what ``subscriptions.show`` says."""
    next_plan = Plan.objects.filter(slug=now["scheduled_plan"] or "").first()
    standing = standing_of({**now, "scheduled_plan": next_plan and next_plan.name})
    known = Customer.objects.filter(user=user, closing_at=None).exists()
    return {
        "demo": not settings.ENABLE_PAYMENTS,
        "standing": standing,
        "scheduled": now["scheduled_plan"],
        "manage": standing.subscribed or (known and settings.ENABLE_PAYMENTS),
        "frozen": now["wallet"]["message"] or "",
        "settles": _settling(parse_credits(now["wallet"]["owed"])),
        "credit_name": settings.CREDIT_NAME,
    }


def _settling(owed: int) -> int:
    """The whole credits that settle ``owed`` microcredits, within the bounds of an order."""
    whole = -(-owed // MICRO)
    return min(max(whole, settings.CREDITS_LEAST), settings.CREDITS_MOST)


def wallet_parts(user: User) -> dict[str, Any]:
    """The balance, and which part of it expires next."""
    wallet = Account.objects.filter(owner=user, kind=Account.Kind.WALLET).first()
    wallet = wallet or Account(posted=0, held=0)
    lots = (
        Grant.objects.filter(account=wallet.pk, exhausted=False, expires_at__isnull=False)
        .values("expires_at")
        .annotate(left=Sum("remaining"))
        .order_by("expires_at")[:LOTS]
    )
    return {
        "wallet": wallet,
        "available": format_credits(wallet.available),
        "lots": [_lot(lot["left"], lot["expires_at"]) for lot in lots if lot["expires_at"]],
    }


def _lot(left: int, expires_at: datetime) -> str:
    return f"{amount(left)} {'expires' if left == MICRO else 'expire'} on {day(expires_at)}"


def credit_parts(request: HttpRequest, error: FareboxError | None) -> dict[str, Any]:
    """The form that sells credits: bounds, tiers, and the price of what is in it."""
    typed = request.POST.get("quantity") if error else request.GET.get("quantity") or None
    try:
        sold = pricing.price_list()
    except FareboxError as closed:
        return {"no_credits": closed.message}
    usual = str(min(max(USUAL_QUANTITY, sold.least), sold.most))
    quantity = usual if typed is None else typed.strip()
    price, problem = "", ""
    try:
        price = price_in_words(pricing.quote(whole(quantity, "quantity")))
    except FareboxError as refused:
        problem = for_people(refused)
    return {
        "least": sold.least,
        "most": sold.most,
        "tiers": [(max(start, sold.least), price) for start, price in credit_prices()],
        "quantity": quantity,
        "credits_error": problem,
        "price": price,
        "zero": format_money(0, sold.currency),
    }


def price_in_words(price: pricing.Price) -> str:
    """``"$9.50 for 100 credits"``."""
    money = format_money(price.amount, price.currency)
    return f"{money} for {amount(price.quantity * MICRO)}"


def invoice_parts(request: HttpRequest, user: User) -> dict[str, Any]:
    """A page of what was billed; ``?bills=`` is a cursor to older ones. A bad one is the newest."""
    try:
        text = request.GET.get("bills", "")
        cursor = Cursor.read(text, invoices.PARTS) if text else None
        found = invoices.bills(user, cursor, BILLS + 1)
    except BadInput:
        cursor, found = None, invoices.bills(user, None, BILLS + 1)
    shown = found[:BILLS]
    older = Cursor(shown[-1].place) if len(found) > BILLS else None
    return {
        "invoices": shown,
        "newest": cursor is not None,
        "older": urlencode({"bills": str(older)}) if older else "",
    }
