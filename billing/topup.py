"""Automatic top-up as the user sets and sees it. What it does is in ``billing.topping_up``.

It pays with the card that Stripe keeps from an earlier purchase or from the portal.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet, Sum
from django.utils import timezone

from accounts.models import User
from billing import low, nudges, pricing
from billing.allowance import month_end
from billing.customers import require_buyer
from billing.errors import NoSavedCard, StripeRefused
from billing.gateway import mirror
from billing.gateway.client import api, asking
from billing.models import Customer, Order, Payment, TopUp
from common.errors import BadInput
from common.money import MICRO
from ledger import marks, verbs

MOST_CAP = 1_000_000  # credits a month
APPROVAL_HOURS = 24  # as long as Stripe's Checkout page is open
AUTHENTICATION = "authentication_required"

_UNPAID = (Order.State.OPEN, Order.State.PENDING)


class State:
    """What automatic top-up does now."""

    OFF = "off"
    READY = "ready"  # waits for the wallet to run low
    PENDING = "pending"  # credits are being paid for
    WAITING = "waiting"  # until next_try_at: declined, or the month's cap is reached; or frozen
    NEEDS_AUTHENTICATION = "needs_authentication"  # the user's, at url


@dataclass(frozen=True, slots=True)
class Shown:
    """Settings, and where it stands. ``month_quantity`` whole credits were bought by it this month
    (UTC), ``month_amount`` minor units of ``currency`` paid for them."""

    row: TopUp
    state: str
    month_quantity: int
    month_amount: int
    currency: str
    next_try_at: datetime | None = None
    url: str = ""
    message: str = ""


def settings_of(user: User) -> TopUp:
    """The user's, or an unsaved row of the defaults."""
    return TopUp.objects.filter(user=user).first() or TopUp(user=user)


def shown(user: User) -> Shown:
    now = timezone.now()
    row = settings_of(user)
    paid = of_month(user.pk, now).filter(state=Order.State.PAID)
    sums = paid.aggregate(quantity=Sum("quantity"), amount=Sum("amount"))
    state, until, url = _state(row, now)
    return Shown(
        row=row,
        state=state,
        month_quantity=sums["quantity"] or 0,
        month_amount=sums["amount"] or 0,
        currency=settings.CURRENCY,
        next_try_at=until,
        url=url,
        message=row.failure if state in (State.WAITING, State.OFF) else "",
    )


def _state(row: TopUp, now: datetime) -> tuple[str, datetime | None, str]:
    last = last_order(row.user_id)
    if last and last.state in _UNPAID:
        return State.PENDING, None, ""
    if not row.enabled:
        return State.OFF, None, ""
    approval = approval_of(last) if last else None
    waits = row.next_try_at is not None and row.next_try_at > now
    if approval and approval.state in _UNPAID and waits:
        return State.NEEDS_AUTHENTICATION, row.next_try_at, approval.url
    if waits and not (approval and approval.state == Order.State.PAID):
        return State.WAITING, row.next_try_at, ""
    wallet = low.wallet_of(row.user_id)
    if wallet is not None and wallet.owed:
        return State.WAITING, None, ""
    return State.READY, None, ""


def last_order(user: int) -> Order | None:
    """The last attempt to top up."""
    return Order.objects.filter(user=user, kind=Order.Kind.TOP_UP).order_by("-created").first()


def approval_key(order: Order) -> str:
    """What the order is placed under that the user pays on a page, in place of ``order``, which
    the bank would not take without them."""
    return f"top-up:{order.pk}"


def approval_of(order: Order) -> Order | None:
    return Order.objects.filter(user=order.user_id, key=approval_key(order)).first()


def of_month(user: int, now: datetime) -> QuerySet[Order]:
    """The top-ups that count towards the cap of ``now``'s month: paid, or on their way."""
    begin = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return Order.objects.filter(
        user=user,
        state__in=[*_UNPAID, Order.State.PAID],
        kind=Order.Kind.TOP_UP,
        created__gte=begin,
        created__lt=month_end(now),
    )


def check(*, threshold: int, quantity: int, monthly_cap: int) -> None:
    """Raises ``BadInput``, naming the field, for settings that can't be switched on."""
    pricing.quote(quantity)
    if not 0 < threshold <= settings.CREDITS_MOST * MICRO:
        raise BadInput(
            f"threshold: must be more than 0 and at most {settings.CREDITS_MOST} credits.",
            param="threshold",
        )
    if not quantity <= monthly_cap <= MOST_CAP:
        raise BadInput(
            f"monthly_cap: must be a whole number of credits from {quantity} (what is bought at a "
            f"time) to {MOST_CAP}.",
            param="monthly_cap",
        )


def switch_on(user: User, *, threshold: int, quantity: int, monthly_cap: int) -> TopUp:
    """Have ``quantity`` whole credits bought whenever less than ``threshold`` (microcredits) is
    available, at most ``monthly_cap`` a month. Somebody who has less already is topped up at once.

    Must be called outside transactions. Raises ``BadInput``, ``PermissionRefused`` (who can't buy),
    ``Conflict`` (no saved card), ``StripeUnavailable`` and ``StripeRefused``.
    """
    check(threshold=threshold, quantity=quantity, monthly_cap=monthly_cap)
    require_buyer(user)
    if settings.ENABLE_PAYMENTS and saved_card(user.pk) is None:
        raise NoSavedCard(
            "There is no saved card to pay with. Buy credits once, or add a card in the portal; "
            "then switch this on."
        )
    with transaction.atomic():
        row = _locked(user)
        row.enabled = True
        row.threshold, row.quantity, row.monthly_cap = threshold, quantity, monthly_cap
        _fresh(row)
        marks.set_low_mark(account=verbs.wallet_of(user=user.pk), mark=threshold)
        transaction.on_commit(lambda: nudges.top_up(user.pk))
    return row


def switch_off(user: User) -> TopUp:
    """Buy nothing any more by itself. What is being paid for is finished."""
    with transaction.atomic():
        row = _locked(user)
        row.enabled = False
        _fresh(row)
    return row


def want_mail(user: User, wanted: bool) -> TopUp:
    """Whether to be told of a low balance; it is nothing to do with top-up itself."""
    with transaction.atomic():
        row = _locked(user)
        row.low_balance_mail = wanted
        row.save()
        low.mark(user.pk)
    return row


def _locked(user: User) -> TopUp:
    # The user's row first, as leaving has it, which takes the wallet next.
    User.objects.select_for_update(no_key=True).filter(pk=user.pk).first()
    TopUp.objects.get_or_create(user=user)
    return TopUp.objects.select_for_update().get(user=user)


def _fresh(row: TopUp) -> None:
    """Save with the wait of earlier declines forgotten, but for a payment that is on its way."""
    last = last_order(row.user_id)
    if not (last and last.state in _UNPAID):
        row.failures, row.failure, row.next_try_at = 0, "", None
    row.save()
    low.mark(row.user_id)


def saved_card(user: int) -> str | None:
    """The id of the payment method to charge: the customer's default one, or else the newest.

    Raises ``StripeUnavailable`` and ``StripeRefused``.
    """
    customer = Customer.objects.filter(user=user, closing_at=None).first()
    if customer is None:
        return None
    try:
        found = mirror.fetch("customer", customer.stripe_id)
        chosen = (found.get("invoice_settings") or {}).get("default_payment_method")
        if found.get("deleted"):
            return None
        if chosen:
            return str(chosen)
        with asking("list saved cards"):
            cards = api().v1.customers.payment_methods.list(customer.stripe_id, {"limit": 1})
    except StripeRefused as error:
        if mirror.absent(error):
            return None
        raise
    return cards.data[0].id if cards.data else None


def is_disputed(user: int) -> bool:
    """Whether a payment of theirs is disputed or was lost so: no card of theirs is charged then."""
    return Payment.objects.filter(user=user, disputed__gt=0).exists()
