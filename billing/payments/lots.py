"""Undoing a payment's lots after refunds and disputes, and restoring them when a dispute is won.

``Payment.revoked`` is what is undone now: all that was revoked of the payment's lots, less what was
restored by further lots. Each step has a key of its own, ``stripe:payment:<object>:revision:<n>``.
"""

from datetime import datetime, timedelta

from django.db.models import Sum
from django.utils import timezone

from billing.models import Payment, PaymentGrant
from ledger import verbs
from ledger.models import Account, Grant, Transfer

# Nothing that is restored should run out before it can be used.
AT_LEAST = timedelta(days=30)


def undo_to(payment: Payment, target: int) -> int:
    """Revoke or restore until ``target`` microcredits are undone. Answers how many of them had
    been spent and are owed now: above zero, the wallet is frozen.

    The caller holds the payment's row lock, and saves it. ``target`` is at most
    ``payment.granted``.
    """
    owed = 0
    if target > payment.revoked:
        owed = _revoke(payment, target - payment.revoked)
    elif target < payment.revoked:
        _restore(payment, payment.revoked - target)
    payment.revoked = target
    return owed


def _revoke(payment: Payment, amount: int) -> int:
    """From the newest lot first, from each at most what was not revoked of it yet."""
    owed = 0
    lots = Grant.objects.filter(pk__in=payment.lots.values("grant")).order_by("-id")
    for lot in lots:
        part = min(amount, lot.amount - lot.revoked)
        if part:
            done = verbs.revoke(
                grant=lot.pk,
                amount=part,
                key=_next_key(payment),
                metadata={"payment": payment.object_id},
            )
            amount -= part
            owed += done.receivable
    assert amount == 0, f"{payment}: {amount} more to revoke than its lots have"
    return owed


def _restore(payment: Payment, amount: int) -> None:
    """A further lot like the first. What had lapsed unused when it was revoked comes back as it
    was, past its date, so that nobody gains by a dispute: it leaves again at the wallet's next
    verb. (If the wallet still owes for something else, that is settled from it before.)"""
    lapsed = min(amount, max(0, amount - (payment.revoked - _lapsed(payment))))
    first = Grant.objects.filter(pk__in=payment.lots.values("grant")).earliest("id")
    now = timezone.now()
    expires_at = first.expires_at
    if expires_at is not None and expires_at <= now:
        expires_at = now + AT_LEAST
    _grant(payment, first, amount - lapsed, expires_at, lapsed=False)
    _grant(payment, first, lapsed, first.expires_at, lapsed=True)


def _grant(
    payment: Payment, like: Grant, amount: int, expires_at: datetime | None, *, lapsed: bool
) -> None:
    if not amount:
        return
    done = verbs.grant(
        account=like.account_id,
        amount=amount,
        kind=like.kind,
        key=_next_key(payment),
        expires_at=expires_at,
        metadata={"payment": payment.object_id, "restored": True, "lapsed": lapsed},
    )
    PaymentGrant.objects.create(payment=payment, grant_id=done.grant)


def _lapsed(payment: Payment) -> int:
    """Of what is undone now, the part that was taken from lapsed credits."""
    transfers = Grant.objects.filter(pk__in=payment.lots.values("grant")).values("transfer")
    taken = Transfer.objects.filter(
        reverses__in=transfers,
        kind=Transfer.Kind.REVOKE,
        debit__kind=Account.Kind.EXPIRED,
    ).aggregate(sum=Sum("amount"))["sum"]
    given = Transfer.objects.filter(pk__in=transfers, metadata__lapsed=True).aggregate(
        sum=Sum("amount")
    )["sum"]
    return (taken or 0) - (given or 0)


def _next_key(payment: Payment) -> str:
    payment.revision += 1
    return f"stripe:payment:{payment.object_id}:revision:{payment.revision}"
