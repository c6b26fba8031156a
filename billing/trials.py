"""One trial a person.

Stripe's customer tells of the trials they had (``billing.checkout``), but goes when its account is
deleted, or leaving and coming back would pay. So who was granted a trial's allowance is remembered
as whoever claimed the free plan's is: by a keyed hash of their mailbox, which names nobody.
"""

from django.conf import settings
from django.utils.crypto import salted_hmac

from accounts.models import User
from billing.allowance import mailbox, verified_email
from billing.models import AllowancePerson


def remember(user: User) -> None:
    """``user`` has had their trial. In the transaction of its grant."""
    if email := verified_email(user):
        AllowancePerson.objects.bulk_create(
            [AllowancePerson(hash=_hash(email))], ignore_conflicts=True
        )


def had(user: User) -> bool:
    """Whether somebody with the mailbox of ``user`` has had one."""
    email = verified_email(user)
    secrets = [None, *settings.SECRET_KEY_FALLBACKS]
    hashes = [_hash(email, secret) for secret in secrets] if email else []
    return AllowancePerson.objects.filter(hash__in=hashes).exists()


def _hash(email: str, secret: str | None = None) -> str:
    """Of another salt than an allowance's: the two say nothing of each other."""
    return salted_hmac(
        "billing.trial.person", mailbox(email), secret, algorithm="sha256"
    ).hexdigest()
