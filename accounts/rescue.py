"""What staff do for somebody who can't get in, or against somebody who should not be in."""

import structlog
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.db import transaction

from accounts import access, notices, verbs
from accounts.models import User
from common.errors import PermissionRefused

log = structlog.get_logger(__name__)


def sign_out(*, user: User) -> None:
    """End every sign-in: browsers, programs, extensions. API keys stay."""
    access.end_sign_ins(user.pk)
    log.info("signed out everywhere by staff", user=user.pk)


def reset_second_factors(*, user: User, actor: User) -> int:
    """Take away authenticator app, passkeys and recovery codes, and end every sign-in, since what
    is lost may have been stolen. The owner is told by mail. Answers how many there were.

    From then on a password, or a code sent to the address, is enough; staff are led to set up a new
    one before they see the admin. Raises ``PermissionRefused`` for ``actor``'s own, which are
    removed on the account's own page, after showing one.
    """
    if user.pk == actor.pk:
        raise PermissionRefused("Change your own second factors on your account's page.")
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        # As a query, which is no way of an owner's: accounts.staff lets it take the last one too.
        gone, _ = Authenticator.objects.filter(user=user).delete()
        access.end_sign_ins(user.pk)
        if gone:
            transaction.on_commit(lambda: notices.factors_reset(user), robust=True)
    log.info("second factors reset by staff", user=user.pk, actor=actor.pk, factors=gone)
    return gone


@transaction.atomic
def change_email(*, user: User, old: str) -> None:
    """What goes with another address of ``user``, saved already: it is the only one of the account
    and counts as verified on the operator's word, and ``old`` is told by mail.

    Raises ``IntegrityError`` when somebody else has verified it.
    """
    EmailAddress.objects.filter(user=user).delete()
    verbs.vouch_for(user=user)
    transaction.on_commit(lambda: notices.email_changed(old), robust=True)
    log.info("e-mail address changed by staff", user=user.pk)
