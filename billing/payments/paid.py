"""Making a payment and its lots agree with what Stripe says of the paid object.

Who asked first may come last, so ``Payment.looked_at`` keeps when the answer was asked for that was
written last, and an answer that was asked for earlier changes nothing. No lock is held while Stripe
is asked. Each refund and dispute is followed by a question, so the one that counts in the end was
asked after the last of them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog
from django.db import IntegrityError, transaction

from accounts.models import User
from billing import letters, low, trials
from billing.gateway.moments import moment
from billing.models import Order, Payment, PaymentGrant, Plan
from billing.payments import orders
from billing.payments.charged import Charged
from billing.payments.lots import undo_to
from ledger import verbs

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Paid:
    """A paid object. ``credits`` are the microcredits it grants, ``paid`` minor units.

    ``void`` says that all of it is to be undone whatever was charged: it should never have been.
    """

    object_id: str
    key: str
    user: User
    kind: str
    grant_kind: str
    credits: int
    paid: int
    currency: str
    charged: Charged = field(default_factory=Charged)
    void: bool = False
    plan: Plan | None = None
    order: Order | None = None
    payment_intent: str = ""
    period_start: datetime | None = None
    period_end: datetime | None = None
    expires_at: datetime | None = None
    demo: bool = False
    is_trial: bool = False
    invoice_url: str = ""

    def undone(self, granted: int) -> int:
        return granted if self.void else self.charged.undone(granted)


def settle(look: Callable[[], Paid | None]) -> Payment | None:
    """Ask with ``look`` what was paid, and write it down. ``None`` when nothing was."""
    asked = moment()
    paid = look()
    return None if paid is None else write(paid, asked)


def write(paid: Paid, asked: datetime) -> Payment:
    """One transaction: the payment, its grant, what is undone of it, its order, its receipt.

    ``asked`` is when Stripe was asked for ``paid``. Locks in fixed order: the user's row (as
    leaving does, which then takes wallet and orders), the order's, the payment's, the wallet.
    """
    try:
        with transaction.atomic():
            User.objects.select_for_update(no_key=True).filter(pk=paid.user.pk).first()
            if paid.order is not None:
                orders.paid(paid.order)
            payment = Payment.objects.select_for_update().filter(object_id=paid.object_id).first()
            if payment is None:
                payment = _record(paid)
            elif payment.looked_at is not None and payment.looked_at > asked:
                return payment
            payment.looked_at = asked
            _undo(payment, paid)
            payment.save()
            return payment
    except IntegrityError:
        if not Payment.objects.filter(object_id=paid.object_id).exists():
            raise
        return write(paid, asked)  # recorded by another meanwhile


def _record(paid: Paid) -> Payment:
    payment = Payment.objects.create(
        object_id=paid.object_id,
        user=paid.user,
        kind=paid.kind,
        plan=paid.plan,
        order=paid.order,
        demo=paid.demo,
        paid=paid.paid,
        currency=paid.currency,
        payment_intent=paid.payment_intent,
        granted=paid.credits,
        period_start=paid.period_start,
        period_end=paid.period_end,
    )
    if paid.credits:
        done = verbs.grant(
            account=verbs.wallet_of(user=paid.user.pk),
            amount=paid.credits,
            kind=paid.grant_kind,
            key=paid.key,
            expires_at=paid.expires_at,
            metadata=_metadata(paid),
        )
        PaymentGrant.objects.create(payment=payment, grant_id=done.grant)
    if paid.is_trial:
        trials.remember(paid.user)
    if not paid.void:
        letters.receipt(payment, invoice_url=paid.invoice_url)
        low.mark(paid.user.pk)
    log.info("paid", object=paid.object_id, user=paid.user.pk, credits=paid.credits)
    return payment


def _undo(payment: Payment, paid: Paid) -> None:
    """Revoke or restore by what was refunded and disputed, and tell the user."""
    newly, before = paid.charged.refunded - payment.refunded, payment.revoked
    disputed_before = payment.disputed
    payment.refunded, payment.disputed = paid.charged.refunded, paid.charged.disputed
    owed = undo_to(payment, paid.undone(payment.granted))
    if newly > 0:
        letters.refunded(payment, amount=newly, credits=max(0, payment.revoked - before))
    if owed:
        letters.wallet_frozen(
            payment.user,
            cause=f"{payment.object_id}:{payment.revision}",
            owed=owed,
            disputed=payment.disputed > 0,
        )
    elif payment.disputed > disputed_before and payment.revoked > before:
        letters.disputed(payment, credits=payment.revoked - before)
    if payment.disputed < disputed_before and payment.revoked < before:
        letters.disputed(payment, credits=before - payment.revoked, over=True)
    if payment.revoked != before:
        log.info("payment undone", object=payment.object_id, user=payment.user_id,
                 revoked=payment.revoked, refunded=payment.refunded,
                 disputed=payment.disputed)  # fmt: skip


def _metadata(paid: Paid) -> dict[str, Any]:
    said: dict[str, Any] = {"payment": paid.object_id}
    if paid.plan is not None:
        said["plan"] = paid.plan.slug
    if paid.demo:
        said["demo"] = True
    return said
