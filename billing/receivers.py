"""What billing does when people sign up and in. Imported when the app is ready."""

from typing import Any

from allauth.account.models import EmailAddress
from allauth.account.signals import email_confirmed, user_logged_in, user_signed_up
from django.db.models.signals import post_save
from django.dispatch import receiver
from django.http import HttpRequest

from accounts.limits import client_address
from accounts.models import User
from billing import allowance, customers


@receiver(user_signed_up, dispatch_uid="billing:signed-up")
def signed_up(user: User, **_: Any) -> None:
    allowance.expect(user)


@receiver(email_confirmed, dispatch_uid="billing:confirmed")
def confirmed(request: HttpRequest, email_address: EmailAddress, **_: Any) -> None:
    allowance.claim(email_address.user, client_address(request))


@receiver(user_logged_in, dispatch_uid="billing:logged-in")
def logged_in(request: HttpRequest, user: User, **_: Any) -> None:
    """Whoever came with a verified address, and whoever was too late on an earlier day."""
    allowance.claim(user, client_address(request))


@receiver(post_save, sender=User, dispatch_uid="billing:user-saved")
def email_may_have_changed(instance: User, created: bool, update_fields: Any, **_: Any) -> None:
    """By the user, or by staff: receipts of Stripe's go to the address it knows."""
    if not created and (update_fields is None or "email" in update_fields):
        customers.email_changed(instance)
