"""What happens at Stripe, and what is looked at here because of it.

An event only says which object to look at: that is asked for as it is now. So events may come
late, twice, in any order, or not at all (``billing.catchup``), and end in the same. The row of an
``Event`` is written last; while there is none, the event is applied again.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import structlog
from django.db import transaction
from djstripe.models import Event

from billing import news, payments
from billing.following import follow_subscription
from billing.gateway.money_back import keep_money_back
from billing.gateway.values import instant, linked
from billing.models import Customer
from billing.owners import names_top_up

log = structlog.get_logger(__name__)

Json = Mapping[str, Any]


def _session(session: Json) -> None:
    payments.apply_session(session["id"])
    if invoice := linked(session.get("invoice")):
        payments.apply_invoice(invoice)
    elif subscription := linked(session.get("subscription")):
        follow_subscription(subscription)


def _subscription(subscription: Json) -> None:
    if row := follow_subscription(subscription["id"]):
        news.subscription_changed(row)


def _trial_ending(subscription: Json) -> None:
    if row := follow_subscription(subscription["id"]):
        news.trial_ending(row)


def _invoice(invoice: Json) -> None:
    payments.apply_invoice(invoice["id"])


def _invoice_failed(invoice: Json) -> None:
    payments.apply_invoice(invoice["id"])
    news.invoice_failed(invoice["id"])


def _intent(intent: Json) -> None:
    """Only a top-up's is looked at. It names its order from its making on, so Stripe need not be
    asked about those of sessions and invoices, of which it tells by events of their own."""
    if "metadata" not in intent or names_top_up(intent):
        payments.apply_payment_intent(intent["id"])


def _money_back(about: Json) -> None:
    """``about`` is a charge, refund or dispute. What was never paid by an intent is not ours."""
    if intent := linked(about.get("payment_intent")):
        payments.apply_changed_intent(intent)
        keep_money_back(intent)


LOOKS: dict[str, Callable[[Json], None]] = {
    "charge.dispute.closed": _money_back,
    "charge.dispute.created": _money_back,
    "charge.dispute.funds_reinstated": _money_back,
    "charge.dispute.funds_withdrawn": _money_back,
    "charge.dispute.updated": _money_back,
    "charge.refund.updated": _money_back,
    "charge.refunded": _money_back,
    "checkout.session.async_payment_failed": _session,
    "checkout.session.async_payment_succeeded": _session,
    "checkout.session.completed": _session,
    "checkout.session.expired": _session,
    "customer.subscription.created": _subscription,
    "customer.subscription.deleted": _subscription,
    "customer.subscription.paused": _subscription,
    "customer.subscription.resumed": _subscription,
    "customer.subscription.trial_will_end": _trial_ending,
    "customer.subscription.updated": _subscription,
    "invoice.marked_uncollectible": _invoice,
    "invoice.paid": _invoice,
    "invoice.payment_action_required": _invoice_failed,
    "invoice.payment_failed": _invoice_failed,
    "invoice.voided": _invoice,
    "payment_intent.canceled": _intent,
    "payment_intent.payment_failed": _intent,
    "payment_intent.succeeded": _intent,
}


def apply(event: Json) -> bool:
    """Look at what an event is about; answers whether it was new, known and ours.

    ``event`` is trusted: its signature was checked, or it was read from Stripe. Must be called
    outside transactions. Whatever is raised, the event counts as not applied.
    """
    look = LOOKS.get(event["type"])
    about = event["data"]["object"]
    if look is None or Event.objects.filter(id=event["id"]).exists():
        return False
    if is_a_strangers(about):
        log.info("an event of a customer unknown here", event_type=event["type"])
        return False
    look(about)
    return _remember(event)


def is_a_strangers(about: Json) -> bool:
    """Whether it names a customer who is not ours. Refunds and disputes name none."""
    customer = linked(about.get("customer"))
    return bool(customer) and not Customer.objects.filter(stripe_id=customer).exists()


def _remember(event: Json) -> bool:
    """That it was applied, without what it told of anybody. Answers whether this call was first."""
    about = event["data"]["object"]
    with transaction.atomic():
        _, made = Event.objects.get_or_create(
            id=event["id"],
            defaults={
                "type": event["type"],
                "api_version": event.get("api_version") or "",
                "livemode": event.get("livemode"),
                "created": created(event),
                "data": {"object": {"id": about.get("id"), "object": about.get("object")}},
                "stripe_data": {},
            },
        )
    return made


def created(event: Json) -> datetime:
    """When it happened at Stripe."""
    return instant(event["created"])
