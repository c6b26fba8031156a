"""Mails about money: written down in the transaction of their cause, sent after it.

Call these where the thing happens, inside its transaction. Each is sent once for its cause,
however often that is heard of; a cause that is rolled back sends none. What can't be handed to the
queue now is sent by ``send_waiting``, which beat calls. Nothing here raises but for the database.

Amounts of money are minor units of a currency, amounts of credits microcredits, times aware.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts import notices
from accounts.models import User
from billing.models import Letter, Order, Payment
from billing.wording import day
from common.money import format_money, shown_credits

log = structlog.get_logger(__name__)

FRESH = timedelta(minutes=1)  # younger ones are left to the process that wrote them
STALE = timedelta(days=3)  # what could not be sent for so long is not news any more
KEPT = timedelta(days=180)  # longer than Stripe tells of anything again
BATCH = 200
DECLINES = {
    "insufficient_funds": "the card has insufficient funds",
    "expired_card": "the card has expired",
    "lost_card": "the card was reported lost",
    "stolen_card": "the card was reported stolen",
    "incorrect_cvc": "the card's security code is not correct",
    "processing_error": "the bank could not process it",
    "no_card": "there is no saved card any more",
    "authentication_required": "the bank wants you to approve it yourself",
    "refused": "Stripe did not accept the payment",
}


def receipt(payment: Payment, *, invoice_url: str = "") -> None:
    """What was paid and granted, or begun for nothing: a trial, or a code that takes all of the
    price off. ``invoice_url`` is Stripe's page of the invoice or receipt, if there is one."""
    begin, end = payment.period_start, payment.period_end
    _write(
        f"receipt:{payment.object_id}",
        payment.user,
        "receipt",
        what=_what(payment),
        kind=payment.kind,
        demo=payment.demo,
        free=payment.paid == 0,
        paid=format_money(payment.paid, payment.currency),
        credits=_credits(payment.granted) if payment.granted else "",
        date=day(payment.created or timezone.now()),
        period=f"{day(begin)} to {day(end)}" if begin and end else "",
        invoice_url=invoice_url,
        billing_url=_billing_url(),
    )


def payment_failed(
    user: User,
    *,
    invoice: str,
    amount: int,
    currency: str,
    plan: str,
    until: datetime | None,
    url: str = "",
    attempt: int = 1,
) -> None:
    """A plan's renewal was declined; calls go on ``until`` the grace ends (``None``: they have
    ended). ``url`` is where the invoice is paid, or the portal's. One mail an attempt."""
    _write(
        f"payment-failed:{invoice}:{attempt}",
        user,
        "payment_failed",
        amount=format_money(amount, currency),
        plan=plan,
        until=day(until) if until else "",
        url=url or _billing_url(),
        billing_url=_billing_url(),
    )


def trial_ending(
    user: User,
    *,
    subscription: str,
    plan: str,
    ends_at: datetime,
    amount: int | None = None,
    currency: str = "",
) -> None:
    """A trial ends soon; then ``amount`` a month is due."""
    _write(
        f"trial-ending:{subscription}:{ends_at:%Y-%m-%d}",
        user,
        "trial_ending",
        plan=plan,
        ends_at=day(ends_at),
        amount=format_money(amount, currency) if amount is not None else "",
        billing_url=_billing_url(),
    )


def subscription_canceled(
    user: User, *, subscription: str, plan: str, ends_at: datetime, ended: bool = False
) -> None:
    """A plan will end, or with ``ended`` has. ``ends_at`` is when; taking the cancellation back
    and canceling again for the same day sends no second mail."""
    _write(
        f"canceled:{subscription}:{ends_at:%Y-%m-%d}:{'ended' if ended else 'ending'}",
        user,
        "subscription_canceled",
        plan=plan,
        ended=ended,
        ends_at=day(ends_at),
        billing_url=_billing_url(),
    )


def refunded(payment: Payment, *, amount: int, credits: int) -> None:
    """``amount`` of a payment went back to the card, and ``credits`` left the wallet for it.
    ``payment.refunded`` is what was refunded in all, this included."""
    _write(
        f"refund:{payment.object_id}:{payment.refunded}",
        payment.user,
        "refunded",
        what=_what(payment),
        amount=format_money(amount, payment.currency),
        credits=_credits(credits) if credits else "",
        date=day(payment.created),
        billing_url=_billing_url(),
    )


def disputed(payment: Payment, *, credits: int, over: bool = False) -> None:
    """A payment is disputed at the bank, and ``credits`` left the wallet for it; with ``over`` they
    came back. Where some were spent already, ``wallet_frozen`` tells instead."""
    _write(
        f"disputed:{payment.object_id}:{payment.revision}",
        payment.user,
        "disputed",
        what=_what(payment),
        amount=format_money(payment.paid, payment.currency),
        credits=_credits(credits),
        over=over,
        date=day(payment.created),
        billing_url=_billing_url(),
    )


def wallet_frozen(user: User, *, cause: str, owed: int, disputed: bool = False) -> None:
    """What a refund or dispute took back was spent already: ``owed`` credits are. ``cause`` is
    the paid object's id and the payment's revision, ``"in_1:2"``."""
    _write(
        f"frozen:{cause}",
        user,
        "wallet_frozen",
        owed=_credits(owed),
        disputed=disputed,
        billing_url=_billing_url(),
    )


def low_balance(user: User, *, available: int, since: datetime, cap: int = 0) -> None:
    """The wallet is low. With ``cap``, though top-up is on: so many credits of this month's were
    bought."""
    _write(
        f"low:{user.pk}:{since.isoformat()}",
        user,
        "low_balance",
        available=_credits(available),
        cap=f"{cap:,} {settings.CREDIT_NAME}" if cap else "",
        billing_url=_billing_url(),
    )


def top_up_declined(order: Order, *, why: str, next_try_at: datetime | None) -> None:
    """An automatic top-up was not paid. Without ``next_try_at`` it is switched off now."""
    _write(
        f"top-up-declined:{order.pk}",
        order.user,
        "top_up_declined",
        what=f"{order.quantity:,} {settings.CREDIT_NAME}",
        amount=format_money(order.amount, order.currency),
        why=why_of(why),
        next_try_at=_moment(next_try_at) if next_try_at else "",
        billing_url=_billing_url(),
    )


def top_up_authentication(order: Order, *, url: str, until: datetime) -> None:
    """The bank wants the card's owner to approve a top-up; ``url`` is where, for as long."""
    _write(
        f"top-up-authentication:{order.pk}",
        order.user,
        "top_up_authentication",
        what=f"{order.quantity:,} {settings.CREDIT_NAME}",
        amount=format_money(order.amount, order.currency),
        url=url,
        until=_moment(until),
        billing_url=_billing_url(),
    )


def why_of(code: str) -> str:
    """Stripe's decline code, in words that give nothing away that the bank keeps to itself."""
    return DECLINES.get(code, "the bank declined it")


def _what(payment: Payment) -> str:
    if payment.plan is not None:
        return f"the plan {payment.plan.name}"
    quantity = payment.order.quantity if payment.order else None
    bought = f"{quantity:,} {settings.CREDIT_NAME}" if quantity else _credits(payment.granted)
    return f"an automatic top-up of {bought}" if payment.kind == Payment.Kind.TOP_UP else bought


def _credits(amount: int) -> str:
    """``1_012_500_000`` is ``"1,012.5 credits"``."""
    return f"{shown_credits(amount)} {settings.CREDIT_NAME}"


def _moment(moment: datetime) -> str:
    return f"{day(moment)}, {moment.astimezone(UTC):%H:%M} UTC"


def _billing_url() -> str:
    return f"{settings.PUBLIC_URL}/dashboard/billing/"


def _write(key: str, user: User, template: str, **about: Any) -> None:
    letter, is_new = Letter.objects.get_or_create(
        key=key, defaults={"user": user, "template": template, "about": about}
    )
    if is_new:
        send_now: Callable[[], object] = partial(send, letter.pk)
        transaction.on_commit(send_now, robust=True)


def send(letter: int) -> bool:
    """Hand a letter to the queue of mails, unless somebody has; answers whether this did.

    It is marked before and unmarked when the queue does not take it. A process that dies in
    between loses it: better than the same receipt twice.
    """
    unsent = Letter.objects.filter(pk=letter, sent_at=None)
    if not unsent.update(sent_at=timezone.now()):
        return False
    row = Letter.objects.select_related("user").get(pk=letter)
    if not row.user.is_active:
        return False
    try:
        notices.send(f"billing/mail/{row.template}", row.user.email, row.about)
    except Exception as error:
        log.warning("a mail is not sent yet", letter=row.template, error=type(error).__name__)
        Letter.objects.filter(pk=letter).update(sent_at=None)
        return False
    return True


def send_waiting() -> int:
    """Send what could not be sent in its time; answers how many were."""
    now = timezone.now()
    waiting = Letter.objects.filter(
        sent_at=None, created__lt=now - FRESH, created__gt=now - STALE
    ).order_by("created")
    return sum(send(letter) for letter in list(waiting.values_list("pk", flat=True)[:BATCH]))


def forget() -> int:
    """Drop what was written long ago; answers how many."""
    return Letter.objects.filter(created__lt=timezone.now() - KEPT).delete()[0]
