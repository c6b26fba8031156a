"""What a refund would do to credits, said before it is done. The rules are those of
``billing.payments`` and ``ledger_revoke``, which look again when it is."""

from dataclasses import dataclass

from billing.models import Payment
from billing.payments.charged import Charged
from ledger.models import Account, Grant


@dataclass(frozen=True, slots=True)
class Effect:
    """Microcredits: how many are revoked, and how many of those would be owed."""

    revoked: int
    owed: int


def left_to_refund(payment: Payment) -> int:
    """Minor units that can still be paid back; nothing of what is disputed, or was never taken."""
    if payment.demo or not payment.payment_intent:
        return 0
    return max(0, payment.paid - payment.refunded - payment.disputed)


def effect_of(payment: Payment, amount: int) -> Effect:
    """Of paying back ``amount`` more minor units of a payment, as things are now."""
    after = Charged(payment.paid, payment.refunded + amount, payment.disputed)
    revoked = max(0, after.undone(payment.granted) - payment.revoked)
    return Effect(revoked, _owed(payment, revoked))


def _owed(payment: Payment, revoked: int) -> int:
    """Newest lot first, each up to what it has left: from the lot, then from what of it had
    expired, then from the rest of the wallet; what is not there is owed."""
    lots = list(Grant.objects.filter(pk__in=payment.lots.values("grant")).order_by("-id"))
    if not lots:
        return 0
    available = Account.objects.get(pk=lots[0].account_id).available
    owed = 0
    for lot in lots:
        part = min(revoked, lot.amount - lot.revoked)
        revoked -= part
        lapsed = min(part - min(part, lot.remaining, available), lot.lapsed)
        taken = min(part - lapsed, available)
        available -= taken
        owed += part - lapsed - taken
    return owed
