"""Ending at Stripe what somebody has there who has left: see ``billing.leaving``.

``Customer.closing_at`` says that it is still to be done. It is done in steps that each start from
what Stripe has now, so it may break off anywhere and be begun again, by two at once too.
"""

import json
from typing import Any

import structlog
from celery import current_app
from django.db import IntegrityError, transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts.models import User
from accounts.traces import NOWHERE
from billing import entitlements
from billing.errors import StripeRefused
from billing.gateway import traces
from billing.gateway.client import api, asking
from billing.gateway.listing import listing
from billing.gateway.mirror import absent
from billing.models import Customer
from billing.owners import ORDER
from common.errors import FareboxError

log = structlog.get_logger(__name__)

TASK = "billing.tasks.close_customer"
_OPEN_INTENTS = {"requires_payment_method", "requires_confirmation", "requires_action"}
_ENDED = {"canceled", "incomplete_expired"}


def begin(user: User) -> None:
    """Forget what the mirror has of ``user``, and see to it that Stripe forgets them, too, after
    commit. For the transaction in which an account is deleted."""
    customer = Customer.objects.filter(user=user).first()
    if customer is None:
        return
    Customer.objects.filter(pk=customer.pk, closing_at=None).update(closing_at=timezone.now())
    traces.forget(customer.stripe_id)
    transaction.on_commit(lambda: _start(customer.pk))


def _start(user_id: int) -> None:
    """Now, rather than with beat's next look."""
    try:
        current_app.signature(TASK, args=[user_id]).apply_async(retry=False)
    except OperationalError:
        log.warning("the queue is away: beat closes the customer later", user=user_id)


def close_all() -> int:
    """A step for every customer that is still to be closed; answers for how many it was the
    last."""
    waiting = Customer.objects.filter(closing_at__isnull=False).order_by("closing_at")
    return sum(close(user_id) for user_id in list(waiting.values_list("pk", flat=True)))


def begin_forgotten() -> int:
    """Mark customers that came to be while their user left, and so are still open; reads the table
    whole. Answers how many there were."""
    gone = f"@{NOWHERE}"
    late = Customer.objects.filter(closing_at=None, user__email__endswith=gone)
    return late.update(closing_at=timezone.now())


def close(user_id: int) -> bool:
    """One step of closing a customer; answers whether it was the last. Must be called outside
    transactions. What Stripe does not do now is no error: beat tries again.

    First everything they have at Stripe is ended and they are deleted there. Events of that are
    still on their way then, and are handled as those of a customer we know. With a later look, a
    minute on, what those left behind is forgotten, and the id with it.
    """
    customer = Customer.objects.filter(pk=user_id, closing_at__isnull=False).first()
    if customer is None:
        return False
    try:
        if not _is_gone(customer.stripe_id):
            traces.forget_whole(customer.stripe_id)
            _end_all(customer.stripe_id)
            log.info("customer deleted at Stripe", user=user_id)
            return False
        _forget(customer)
    except FareboxError as error:
        log.warning("a customer is not closed yet", user=user_id, error=error.message)
        return False
    except IntegrityError:  # an event came in at this very moment
        log.warning("a customer is not closed yet", user=user_id, error="heard of just now")
        return False
    log.info("customer closed", user=user_id)
    return True


def _forget(customer: Customer) -> None:
    with transaction.atomic():
        traces.forget_whole(customer.stripe_id)
        entitlements.end(user=customer.user)
        customer.delete()


def _is_gone(customer: str) -> bool:
    try:
        return bool(_request("get", f"customers/{customer}").get("deleted"))
    except StripeRefused as error:
        if absent(error):
            return True
        raise


def _end_all(customer: str) -> None:
    """Raises ``StripeUnavailable`` and ``StripeRefused``. Who is gone already is no error."""
    try:
        for session in listing("/v1/checkout/sessions", customer=customer, status="open"):
            _post(f"checkout/sessions/{session['id']}/expire")
        for subscription in listing("/v1/subscriptions", customer=customer):
            if subscription["status"] not in _ENDED:
                _request("delete", f"subscriptions/{subscription['id']}")
        for invoice in listing("/v1/invoices", customer=customer, status="open"):
            _post(f"invoices/{invoice['id']}/void")
        for intent in listing("/v1/payment_intents", customer=customer):
            # Others belong to a session or an invoice, and ended with it.
            if intent["status"] in _OPEN_INTENTS and ORDER in intent["metadata"]:
                _post(f"payment_intents/{intent['id']}/cancel")
        _request("delete", f"customers/{customer}")
    except StripeRefused as error:
        if not absent(error):
            raise


def _post(path: str) -> None:
    """One that ended by itself meanwhile is as good as ended: what is there is asked anew when
    the customer can't be deleted."""
    try:
        _request("post", path)
    except StripeRefused as error:
        log.info("Stripe had nothing to end", path=path.split("/")[0], cause=str(error.__cause__))


def _request(method: str, path: str, **params: Any) -> dict[str, Any]:
    with asking(f"close a customer: {method} {path.split('/')[0]}"):
        return dict(json.loads(api().raw_request(method, f"/v1/{path}", **params).body))
