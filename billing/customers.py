"""A user's customer at Stripe: one each, made when they first buy.

Two requests at once, and one that follows a crash, ask with the same idempotency key, so Stripe
answers all of them with the same customer; whoever writes the row first is believed by the others.
Stripe's search is not asked: what it finds is some seconds old.
"""

import hashlib
from collections.abc import Callable
from typing import TypeVar

import stripe
import structlog
from allauth.account.models import EmailAddress
from celery import current_app
from django.db import IntegrityError, transaction
from djstripe.models import Customer as MirroredCustomer
from kombu.exceptions import OperationalError

from accounts.models import User
from billing.errors import StripeRefused
from billing.gateway import mirror
from billing.gateway.client import api, asking
from billing.models import Customer
from common.errors import PermissionRefused

TASK = "billing.tasks.pass_on_email"
T = TypeVar("T")
log = structlog.get_logger(__name__)


def require_buyer(user: User) -> None:
    """Raises ``PermissionRefused`` for somebody who can't buy: who has left or was shut out, and
    whose e-mail address is not verified, since receipts and warnings go there."""
    if not user.is_active:
        raise PermissionRefused("This account is closed; it can't buy anything.")
    if not EmailAddress.objects.filter(user=user, email__iexact=user.email, verified=True).exists():
        raise PermissionRefused(
            "Verify your e-mail address first: receipts are sent there. Sign in to be sent a code."
        )


def customer_of(user: User) -> Customer:
    """The customer of ``user``, made at Stripe if there is none. Must be called outside of
    transactions.

    Raises ``PermissionRefused`` for somebody who is leaving, ``StripeUnavailable`` and
    ``StripeRefused``.
    """
    customer = Customer.objects.filter(user=user).first() or _create(user)
    if customer.closing_at is not None:
        raise PermissionRefused("This account is closed; it can't buy anything.")
    if _mirrored_email(customer.stripe_id) not in (None, user.email):
        pass_on_email(user)  # the task that should have done it was lost
    return customer


def for_customer(user: User, act: Callable[[str], T]) -> T:
    """``act`` with the id of the user's customer; once more with another where Stripe has that
    one no longer: it was deleted there, or the deployment has another account now."""
    customer = customer_of(user)
    try:
        return act(customer.stripe_id)
    except StripeRefused as error:
        if not is_missing(error):
            raise
    log.warning("a customer is gone from Stripe and made anew", user=user.pk,
                customer=customer.stripe_id)  # fmt: skip
    return act(_create(user, instead_of=customer.stripe_id).stripe_id)


def _create(user: User, instead_of: str = "") -> Customer:
    told = {"farebox_user": str(user.pk)}
    with asking("create a customer"):
        made = api().v1.customers.create(
            {"email": user.email, "metadata": told},
            {"idempotency_key": _key(user, instead_of)},
        )
    mirror.keep(MirroredCustomer, made.to_dict())
    if instead_of:
        Customer.objects.filter(user=user, stripe_id=instead_of).update(stripe_id=made.id)
        return Customer.objects.get(user=user)
    try:
        with transaction.atomic():
            return Customer.objects.create(user=user, stripe_id=made.id)
    except IntegrityError:  # another request was faster, and has the same one
        return Customer.objects.get(user=user)


def _key(user: User, instead_of: str) -> str:
    """Same user, same address, same key. Their time of joining is in it, so that two databases
    which use one account of Stripe's, each with its user 1, don't share customers."""
    text = f"{user.date_joined.isoformat()} {user.email} {instead_of}"
    return f"customer:{user.pk}:{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def is_missing(error: StripeRefused) -> bool:
    """Whether Stripe refused something because it has no such customer."""
    cause = error.__cause__
    return (
        isinstance(cause, stripe.InvalidRequestError)
        and cause.code == "resource_missing"
        and cause.param == "customer"
    )


def email_changed(user: User) -> None:
    """Have Stripe told after commit, if it knows ``user`` by another address. Costs who is no
    customer one look at an index; raises nothing."""
    customer = Customer.objects.filter(user=user, closing_at=None).first()
    if customer and user.is_active and _mirrored_email(customer.stripe_id) != user.email:
        transaction.on_commit(lambda: _queue(user.pk), robust=True)


def _queue(user: int) -> None:
    try:
        current_app.signature(TASK, args=[user]).apply_async(retry=False)
    except OperationalError:
        log.warning("the queue is away: the next purchase tells the new address", user=user)


def pass_on_email(user: User) -> bool:
    """Tell Stripe the address a user has now, if they are a customer there whom it knows by
    another. Answers whether it was told.

    Two changes in quick succession may reach Stripe crossed; the next purchase compares again.
    """
    customer = Customer.objects.filter(user=user, closing_at=None).first()
    if customer is None or _mirrored_email(customer.stripe_id) == user.email:
        return False
    with asking("change a customer's e-mail address"):
        api().v1.customers.update(customer.stripe_id, {"email": user.email})
    mirror.refresh(MirroredCustomer, customer.stripe_id)
    return True


def _mirrored_email(stripe_id: str) -> str | None:
    row = MirroredCustomer.objects.filter(id=stripe_id).only("stripe_data").first()
    return row.stripe_data.get("email") if row else None
