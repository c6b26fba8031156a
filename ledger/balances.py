"""Reading a wallet's balance as it is now."""

from django.db.models import Exists, OuterRef
from django.utils import timezone

from accounts.models import User
from ledger import verbs
from ledger.models import Account, Grant
from ledger.verbs import Balance


def balance_of(user: User) -> Balance:
    """A user's balance, microcredits; zeros while there is no wallet.

    Lots whose date has passed are expired first, so that nobody is shown credits that no hold
    could take. One query when there are none. May raise ``Unavailable``.
    """
    due = Grant.objects.filter(
        account=OuterRef("pk"), exhausted=False, expires_at__lte=timezone.now()
    )
    wallet = (
        Account.objects.filter(owner=user, kind=Account.Kind.WALLET)
        .annotate(has_due=Exists(due))
        .first()
    )
    if wallet is None:
        return Balance(posted=0, held=0, available=0, owed=0)
    if wallet.has_due:
        return verbs.expire(account=wallet.pk).balance
    return Balance(
        posted=wallet.posted, held=wallet.held, available=wallet.available, owed=wallet.owed
    )
