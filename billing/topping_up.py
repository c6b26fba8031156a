"""Topping up: what is done for a wallet that has become low.

An attempt is an ``Order`` first (one open a user, by constraint), then a payment intent at Stripe
under the order's key, off session, then what ``billing.payments`` makes of it: the webhook may tell
of it earlier, later or never. ``TopUp.next_try_at`` keeps other processes away while one is at it.
No lock is held while Stripe is asked. A process that dies leaves the order open; the next attempt
goes on with it, and Stripe answers the same key with the same intent.

Nobody is charged who is frozen, disputes a payment or has left. What Stripe refuses is not tried
again at once: see ``PAUSES``.
"""

from datetime import datetime, timedelta
from typing import Any

import stripe
import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Sum
from django.utils import timezone

from accounts import events
from accounts.models import User
from billing import checkout, letters, low, payments, pricing, topup
from billing.allowance import month_end
from billing.errors import StripeRefused, StripeUnavailable
from billing.gateway import mirror
from billing.gateway.client import api, asking
from billing.gateway.listing import listing
from billing.models import Customer, Order, TopUp
from billing.owners import ORDER
from common.errors import FareboxError, Unavailable
from ledger.models import Account

log = structlog.get_logger(__name__)

# After the first decline, the second, the third; a fourth switches it off.
PAUSES = (timedelta(hours=1), timedelta(hours=6), timedelta(hours=24))
RETRY = timedelta(minutes=1)  # when Stripe can't be reached
PROCESSING = timedelta(hours=1)  # a payment that takes days; its webhook is mostly first
A_DAY = timedelta(days=1)
# Orders older than this may have an intent that nobody wrote down: their maker is gone.
ORPHANED = timedelta(minutes=1)
MOST_AT_ONCE = 20  # for somebody whose wallet one bundle does not lift

_DUE = """
SELECT t.user_id FROM billing_topup t
LEFT JOIN ledger_account a
    ON a.owner_id = t.user_id AND a.kind = 'wallet' AND a.low_since IS NOT NULL AND a.owed = 0
LEFT JOIN billing_order o
    ON o.user_id = t.user_id AND o.kind = 'top_up' AND o.state IN ('open', 'pending')
WHERE (o.id IS NOT NULL OR (t.enabled AND a.id IS NOT NULL))
  AND (t.next_try_at IS NULL OR t.next_try_at <= %(now)s OR EXISTS (
        SELECT FROM billing_order p WHERE p.user_id = t.user_id AND p.state = 'paid'
            AND p.key = 'top-up:' || t.counted))
ORDER BY t.next_try_at NULLS FIRST, t.user_id LIMIT %(limit)s
"""


def due(now: datetime | None = None, limit: int = 500) -> list[int]:
    """The users whose wallets are low and may be topped up now, or have a payment to be ended."""
    with connection.cursor() as cursor:
        cursor.execute(_DUE, {"now": now or timezone.now(), "limit": limit})
        return [user for (user,) in cursor]


def attend(user: int, now: datetime | None = None) -> int:
    """Top a user's wallet up until it is no longer low, or nothing more may be bought.

    Answers how many bundles were bought. May be called at any time, by any number at once. Raises
    nothing of Stripe's: what fails is tried again later. Must be called outside transactions.
    """
    for bought in range(MOST_AT_ONCE):
        order = _claim(user, now or timezone.now())
        if order is None or not _pay(order, now or timezone.now()):
            return bought
    return MOST_AT_ONCE


def _claim(user: int, now: datetime) -> Order | None:
    """The order to be paid for: the open one, or a new one if there is reason for it. Whoever gets
    it is alone with it for as long as asking Stripe may take."""
    with transaction.atomic():
        rows = TopUp.objects.select_for_update(skip_locked=True, of=("self",))
        users = User.objects.select_for_update(skip_locked=True, no_key=True)
        # Not while they buy or leave, nor while somebody is looking at it.
        is_free = users.filter(pk=user).values_list("pk").first()
        row = rows.filter(user=user).first() if is_free else None
        if row is None:
            return None
        last = topup.last_order(user)
        if _is_approved(row, last):
            row.failures, row.failure, row.next_try_at = 0, "", None
        if row.next_try_at is not None and row.next_try_at > now:
            return None
        if last and last.state == Order.State.FAILED and last.pk != row.counted:
            _count(row, last, last.failure, now)  # its process died before it was counted
            return None
        if last is None or last.state not in (Order.State.OPEN, Order.State.PENDING):
            last = _new(row, now) if _wants(row) else None
        if last is not None:
            row.next_try_at = now + timedelta(seconds=8 * settings.STRIPE_SECONDS + 30)
        row.save()
        return last


def _is_approved(row: TopUp, last: Order | None) -> bool:
    """Whether the user has paid themselves what the bank wanted them for."""
    if last is None or last.pk != row.counted:
        return False
    approval = topup.approval_of(last)
    return approval is not None and approval.state == Order.State.PAID


def _wants(row: TopUp) -> bool:
    user = row.user
    wallet = Account.objects.filter(
        owner=user, kind=Account.Kind.WALLET, low_since__isnull=False, owed=0, closed_at=None
    )
    return row.enabled and user.is_active and wallet.exists()


def _new(row: TopUp, now: datetime) -> Order | None:
    """An order of the bundle at today's price, or ``None`` and a reason kept with the row."""
    try:
        price = pricing.quote(row.quantity)
    except FareboxError as error:  # the operator has changed what can be bought
        _wait(row, now + A_DAY, f"This can't be bought now: {error.message}")
        return None
    if topup.is_disputed(row.user_id):
        _wait(row, now + A_DAY, "A payment of yours is disputed; nothing is charged meanwhile.")
        return None
    counted = topup.of_month(row.user_id, now).aggregate(sum=Sum("quantity"))["sum"] or 0
    if counted + row.quantity > row.monthly_cap:
        _wait(row, month_end(now), "This month's cap is reached.")
        wallet = low.wallet_of(row.user_id)
        if wallet is not None and wallet.low_since is not None:
            letters.low_balance(
                row.user, available=wallet.available, since=wallet.low_since, cap=row.monthly_cap
            )
        return None
    return Order.objects.create(
        user=row.user,
        kind=Order.Kind.TOP_UP,
        quantity=row.quantity,
        amount=price.amount,
        currency=price.currency,
        demo=not settings.ENABLE_PAYMENTS,
    )


def _wait(row: TopUp, until: datetime, why: str) -> None:
    row.next_try_at, row.failure = until, why[:200]


def _pay(order: Order, now: datetime) -> bool:
    """Have an order paid. Answers whether it is."""
    try:
        paid = _pay_demo(order) if order.demo else _pay_at_stripe(order, now)
    except Unavailable as error:  # Stripe, or a wallet that is busy
        log.warning("a top-up is tried again", order=str(order.pk), error=error.message)
        TopUp.objects.filter(user=order.user_id).update(next_try_at=now + RETRY)
        return False
    except StripeRefused as error:
        busy = isinstance(error.__cause__, stripe.IdempotencyError)
        if busy:  # another process asks with the same key at this moment
            TopUp.objects.filter(user=order.user_id).update(next_try_at=now + RETRY)
        else:
            _declined(order, "refused", now)
        return False
    if paid:
        TopUp.objects.filter(user=order.user_id).update(failures=0, failure="", next_try_at=None)
    return paid


def _pay_demo(order: Order) -> bool:
    """Nothing is given for nothing once payments are taken: then the order has run out."""
    if not settings.ENABLE_PAYMENTS:
        payments.grant_demo(order)
        return True
    Order.objects.filter(pk=order.pk).update(state=Order.State.EXPIRED, ended=timezone.now())
    TopUp.objects.filter(user=order.user_id).update(next_try_at=None)
    return False


def _pay_at_stripe(order: Order, now: datetime) -> bool:
    intent = _intent(order, now)
    if intent is None:
        _declined(order, "no_card", now)
        return False
    Order.objects.filter(pk=order.pk).update(stripe_id=intent["id"])
    if intent["status"] == "succeeded":
        return payments.apply_payment_intent(intent["id"]) is not None
    if intent["status"] == "processing":
        Order.objects.filter(pk=order.pk, state=Order.State.OPEN).update(state=Order.State.PENDING)
        TopUp.objects.filter(user=order.user_id).update(next_try_at=now + PROCESSING)
        return False
    error = intent.get("last_payment_error") or {}
    code = error.get("decline_code") or error.get("code") or intent["status"]
    url = ""
    if topup.AUTHENTICATION in (code, error.get("code")) or intent["status"] == "requires_action":
        code, url = topup.AUTHENTICATION, _page(order)
    _give_up(intent)
    _declined(order, code, now, url)
    return False


def _intent(order: Order, now: datetime) -> dict[str, Any] | None:
    """The order's payment intent, asked for with all there is to pay it; ``None`` if there is no
    card to pay with. Asking again answers the same one."""
    if order.stripe_id:
        return mirror.fetch("payment_intent", order.stripe_id)
    customer = Customer.objects.filter(user=order.user_id, closing_at=None).first()
    if customer is None:
        return None
    if order.created < now - ORPHANED and (found := _orphan(order, customer)):
        return found
    card = topup.saved_card(order.user_id)
    if card is None:
        return None
    try:
        with asking("top up"):
            made = api().v1.payment_intents.create(
                {
                    "amount": order.amount,
                    "currency": order.currency,
                    "customer": customer.stripe_id,
                    "payment_method": card,
                    "off_session": True,
                    "confirm": True,
                    "description": f"{settings.SITE_NAME}: {order.quantity:,} "
                    f"{settings.CREDIT_NAME} (automatic top-up)",
                    "metadata": {
                        ORDER: str(order.pk),
                        "farebox_user": str(order.user_id),
                        "farebox_kind": order.kind,
                    },
                },
                {"idempotency_key": f"top-up:{order.pk}"},
            )
    except stripe.CardError as error:
        intent = error.error.payment_intent if error.error else None
        if intent is None:
            raise StripeUnavailable("Stripe declined a card without a payment.") from error
        return dict(intent.to_dict())
    return dict(made.to_dict())


def _orphan(order: Order, customer: Customer) -> dict[str, Any] | None:
    """The intent that a process which died had asked for: the card may be another by now, and the
    same key with another card would be refused."""
    since = int((order.created - timedelta(hours=1)).timestamp())
    for intent in listing(
        "/v1/payment_intents", customer=customer.stripe_id, created={"gte": since}
    ):
        if (intent.get("metadata") or {}).get(ORDER) == str(order.pk):
            return dict(intent)
    return None


def _page(order: Order) -> str:
    """A Checkout page for the same credits, where the user pays what the bank wants them for. The
    same again however often it is asked for."""
    assert order.quantity is not None
    try:
        return checkout.open_credits(order.user, order.quantity, topup.approval_key(order)).url
    except (StripeUnavailable, StripeRefused):
        raise
    except FareboxError as error:  # somebody who can't buy now
        log.warning("no page for an approval", order=str(order.pk), error=error.message)
        return ""


def _give_up(intent: dict[str, Any]) -> None:
    """Nobody is to pay an intent whose order is given up."""
    if intent["status"] == "canceled":
        return
    try:
        with asking("cancel a top-up"):
            api().v1.payment_intents.cancel(intent["id"])
    except StripeRefused:
        log.warning("a top-up can't be canceled", intent=intent["id"], status=intent["status"])


def _declined(order: Order, code: str, now: datetime, url: str = "") -> None:
    """Write down that an order was not paid, once, whoever else does."""
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).filter(pk=order.user_id).first()
        row = TopUp.objects.select_for_update(of=("self",)).filter(user=order.user_id).first()
        if row is None:  # they have left
            return
        Order.objects.filter(pk=order.pk).exclude(state=Order.State.PAID).update(
            state=Order.State.FAILED, ended=now, failure=code[:200]
        )
        order.refresh_from_db()
        if order.state == Order.State.FAILED and row.counted != order.pk:
            _count(row, order, code, now, url)


def _count(row: TopUp, order: Order, code: str, now: datetime, url: str = "") -> None:
    """One more failure: the next wait, or the end. The row is locked by the caller."""
    approval = topup.approval_of(order)
    url = url or (approval.url if approval else "")
    row.counted = order.pk
    row.failures += 1
    if row.failures > len(PAUSES):
        row.enabled, row.next_try_at = False, None
        row.failure = "Switched off after several payments were declined."
        letters.top_up_declined(order, why=code, next_try_at=None)
    elif url:
        row.next_try_at = now + A_DAY
        row.failure = "Your bank wants you to approve the payment."
        letters.top_up_authentication(order, url=url, until=row.next_try_at)
    else:
        row.next_try_at = now + PAUSES[row.failures - 1]
        row.failure = f"The last payment was declined: {letters.why_of(code)}."
        letters.top_up_declined(order, why=code, next_try_at=row.next_try_at)
    row.save()
    low.mark(row.user_id)
    events.changed(row.user_id)
    log.info("a top-up was declined", user=row.user_id, failures=row.failures, code=code)
