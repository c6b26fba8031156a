"""Accounts made with somebody else's address: they give way when its owner shows up.

Anybody can type anybody's address into a sign-up form. Such an account can't be signed in to until
the address is verified, so its maker waits for the owner to do that. This keeps them out:

- The owner signs in through a provider that vouches for the address: an account that nobody ever
  verified or signed in to is gone (``give_way``), and the owner makes one as if it never was.
- Nobody verifies it within a week: it is gone as well (``forget_unverified``).
- The owner gets in by a code sent to the address, or by resetting the password: nothing that the
  maker left behind still opens the account (``shut_out``).

Whoever verifies in the very session that signed up is the maker, and keeps what they set.
"""

import logging
from datetime import timedelta
from typing import Any

from allauth.account.models import EmailAddress
from allauth.account.signals import email_confirmed
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.db import transaction
from django.db.models import CASCADE, Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts import access
from accounts.models import User

logger = logging.getLogger(__name__)

UNVERIFIED_FOR = timedelta(days=7)
MOST_AT_ONCE = 5000

PROVED_HERE = "_farebox_proved_here"
PASSWORD_SET_HERE = "_farebox_password_set_here"


def watch() -> None:
    """Connect to allauth's signal; when apps are ready."""
    email_confirmed.connect(_confirmed, dispatch_uid="squatters:email")


def note_proved(request: HttpRequest) -> None:
    """This request verifies an address by the code its own session asked for."""
    setattr(request, PROVED_HERE, True)


def note_password_set(request: HttpRequest | None) -> None:
    """This request sets the password, so that it is the owner's already."""
    if request is not None:
        setattr(request, PASSWORD_SET_HERE, True)


def give_way(email: str) -> bool:
    """Remove the account that holds ``email`` without right. Answers whether there was one.

    Call this only for an address that is proved to be the caller's. Whoever verified any address,
    ever signed in, is staff, or has anything that the books or a program know of, stays.
    """
    for user in _never_in().filter(email__iexact=email):
        if _remove(user.pk):
            logger.info("an unverified account gave way to its owner", extra={"user": user.pk})
            return True
    return False


def forget_unverified() -> int:
    """Remove sign-ups that nobody verified within ``UNVERIFIED_FOR``; who stays is said of
    ``give_way``. Answers how many."""
    old = _never_in().filter(date_joined__lt=timezone.now() - UNVERIFIED_FOR)
    return sum(_remove(user) for user in old.values_list("pk", flat=True)[:MOST_AT_ONCE])


def _never_in() -> QuerySet[User]:
    """Who may be a sign-up that nobody ever verified."""
    verified = EmailAddress.objects.filter(user=OuterRef("pk"), verified=True)
    return User.objects.filter(
        ~Exists(verified),
        emailaddress__isnull=False,
        last_login=None,
        is_staff=False,
        is_superuser=False,
        is_active=True,
    ).distinct()


@transaction.atomic
def _remove(user_id: int) -> bool:
    """Remove a sign-up if, looked at again under its lock, nothing is known of it."""
    user = User.objects.select_for_update().filter(pk=user_id, last_login=None).first()
    if user is None or not _is_unproved(user) or _is_known_elsewhere(user):
        return False
    user.delete()
    return True


def _is_unproved(user: User) -> bool:
    """They signed up, and verified nothing. The operator's own users may have no row at all."""
    verified = EmailAddress.objects.filter(user=user).values_list("verified", flat=True)
    return bool(verified) and not any(verified)


def _is_known_elsewhere(user: User) -> bool:
    """Has an API key, or rows that outlive their user, such as a wallet's."""
    lasting = (
        relation
        for relation in User._meta.related_objects
        if relation.on_delete is not CASCADE and not relation.many_to_many
    )
    return user.api_keys.exists() or any(
        relation.related_model._base_manager.filter(**{relation.field.name: user}).exists()
        for relation in lasting
    )


def _confirmed(request: HttpRequest, email_address: EmailAddress, **_: Any) -> None:
    user = email_address.user
    if user.last_login is None and not getattr(request, PROVED_HERE, False):
        shut_out(user, keep_password=getattr(request, PASSWORD_SET_HERE, False))


@transaction.atomic
def shut_out(user: User, *, keep_password: bool) -> None:
    """Take from an account every way in but the address itself (and a password set just now)."""
    SocialAccount.objects.filter(user=user).delete()
    Authenticator.objects.filter(user=user).delete()
    if user.has_usable_password() and not keep_password:
        user.set_unusable_password()
        user.save(update_fields=["password"])
        access.announce(user.pk)
