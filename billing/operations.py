"""What staff do at Stripe: end, resume or change a subscription, refund a payment, sync plans.

Each asks Stripe with the caller's ``key``, so that the same form sent twice counts once, and then
has wallet and entitlement follow at once, by the verbs that Stripe's events call; those find
nothing left to do. All must be called outside transactions. They raise ``StripeUnavailable``,
``StripeRefused`` with Stripe's own reason, and ``Conflict`` for what does not fit the
subscription's state.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import stripe
import structlog
from djstripe import models as tables

from billing import catalog, payments, setup
from billing.errors import StripeRefused
from billing.following import follow_subscription
from billing.gateway import mirror
from billing.gateway.client import api, asking
from billing.gateway.money_back import keep_money_back
from billing.gateway.values import linked
from billing.models import Payment, Plan, PlanPrice
from billing.payments.charged import charged
from common.errors import Conflict

log = structlog.get_logger(__name__)

Json = dict[str, Any]
ENDED = ("canceled", "incomplete_expired")
_KEY = "farebox_key"  # in a schedule's metadata: which form made it


def sync(say: Callable[[str], None], *, dry_run: bool = False) -> None:
    """What ``sync_plans`` does: products, prices, the portal, the webhook. ``say`` takes a line for
    each thing done, or that would be."""
    catalog.Catalog(say, dry_run=dry_run).sync()
    setup.sync_portal(say, dry_run=dry_run)
    setup.sync_webhook(say, dry_run=dry_run)


def cancel_at_period_end(subscription: str, *, key: str) -> None:
    """It goes on until the period that is paid for is over."""
    _live(subscription)
    _release_schedule(subscription)
    _update(subscription, {"cancel_at_period_end": True}, key)
    _follow(subscription)


def cancel_now(subscription: str, *, key: str) -> None:
    """It ends at once; nothing is paid back. (``refund`` does that.)"""
    if _fetch(subscription)["status"] in ENDED:
        _follow(subscription)
        return
    with _saying("cancel a subscription"):
        api().v1.subscriptions.cancel(
            subscription, {"invoice_now": False, "prorate": False}, {"idempotency_key": key}
        )
    _follow(subscription)


def resume(subscription: str, *, key: str) -> None:
    """Take back a cancellation that has not come into force, or a pause; else nothing."""
    found = _live(subscription)
    if found["status"] == "paused":
        with _saying("resume a subscription"):
            api().v1.subscriptions.resume(
                subscription, {"billing_cycle_anchor": "now"}, {"idempotency_key": key}
            )
    elif found["cancel_at_period_end"] or found["cancel_at"] or found["pause_collection"]:
        _release_schedule(subscription)
        _update(
            subscription,
            {"pause_collection": "", "cancel_at_period_end": False}
            if found["cancel_at_period_end"] or not found["cancel_at"]
            else {"pause_collection": "", "cancel_at": ""},
            key,
        )
    _follow(subscription)


def change_plan(subscription: str, plan: Plan, *, at_period_end: bool, key: str) -> None:
    """Move a subscription to the present price of ``plan``.

    At once, a dearer plan is paid for the rest of the period, and not changed when the card is
    declined; a cheaper one costs nothing and pays nothing back. At the period's end nothing is
    due before. Raises ``Unavailable`` for a plan whose price Stripe does not have yet.
    """
    price = catalog.price_of(plan)
    found = _live(subscription)
    item = found["items"]["data"][0]
    if at_period_end and _is_scheduled(found, key):  # the same form, sent again
        _follow(subscription)
        return
    if item["price"]["id"] == price.stripe_id:
        _release_schedule(subscription)  # another plan may have been waiting
        _follow(subscription)
        return
    if price.currency != found["currency"]:
        raise Conflict(
            f"This subscription is paid in {found['currency'].upper()}, and {plan} is sold in "
            f"{price.currency.upper()}: cancel it, and let the user subscribe again."
        )
    _release_schedule(subscription)
    if at_period_end:
        _schedule(found, price, key)
    else:
        _change_now(found, item, price, key)
    changed = _follow(subscription)
    invoice = linked(changed.stripe_data.get("latest_invoice"))
    if invoice:
        payments.apply_invoice(invoice)


def _change_now(found: Json, item: Json, price: PlanPrice, key: str) -> None:
    older = PlanPrice.objects.filter(stripe_id=item["price"]["id"], plan=price.plan).exists()
    dearer = price.amount > (item["price"]["unit_amount"] or 0) and not older
    _update(
        found["id"],
        {
            "items": [{"id": item["id"], "price": price.stripe_id}],
            "proration_behavior": "always_invoice" if dearer else "none",
            "payment_behavior": "error_if_incomplete",
            "metadata": {catalog.MARK: price.plan.slug},
        },
        key,
    )


def _schedule(found: Json, price: PlanPrice, key: str) -> None:
    """A phase as it is now until the period's end, and one with the new price."""
    with _saying("schedule a plan change"):
        made = api().v1.subscription_schedules.create(
            {"from_subscription": found["id"]}, {"idempotency_key": f"{key}:schedule"}
        )
        now = made.to_dict()["phases"][0]
        present = {
            "items": [
                {"price": linked(item["price"]), "quantity": item.get("quantity", 1)}
                for item in now["items"]
            ],
            "start_date": now["start_date"],
            "end_date": now["end_date"],
            **({"trial_end": now["trial_end"]} if now.get("trial_end") else {}),
        }
        later = {
            "items": [{"price": price.stripe_id, "quantity": 1}],
            "duration": {"interval": "month", "interval_count": 1},
            "metadata": {catalog.MARK: price.plan.slug},
        }
        params: Any = {
            "end_behavior": "release",
            "proration_behavior": "none",
            "phases": [present, later],
            "metadata": {_KEY: key},
        }
        api().v1.subscription_schedules.update(made.id, params, {"idempotency_key": key})


def _is_scheduled(found: Json, key: str) -> bool:
    schedule = linked(found.get("schedule"))
    if not schedule:
        return False
    with _saying("look at a schedule"):
        made = api().v1.subscription_schedules.retrieve(schedule).to_dict()
    return bool((made.get("metadata") or {}).get(_KEY) == key)


def refund(payment: Payment, amount: int, *, key: str, actor: int) -> None:
    """Pay back ``amount`` (minor units) of a payment; the credits granted for that part of it are
    revoked. ``actor`` is the id of who does it."""
    if not payment.payment_intent:
        raise Conflict("Nothing was charged for this: there is nothing to refund.")
    told: Any = {
        "payment_intent": payment.payment_intent,
        "amount": amount,
        "reason": "requested_by_customer",
        "metadata": {"farebox_actor": str(actor)},
    }
    with _saying("refund a payment"):
        api().v1.refunds.create(told, {"idempotency_key": key})
    log.info("payment refunded by staff", payment=payment.object_id, amount=amount, actor=actor)
    if (
        payments.adjust(payment) is None
    ):  # of somebody who has left: there is no wallet to take from
        intent = mirror.fetch("payment_intent", payment.payment_intent, ["latest_charge"])
        now = charged(intent)
        rows = Payment.objects.filter(pk=payment.pk)
        rows.update(refunded=now.refunded, disputed=now.disputed)
    keep_money_back(payment.payment_intent)


def _live(subscription: str) -> Json:
    """The subscription at Stripe. Raises ``Conflict`` for one that has ended."""
    found = _fetch(subscription)
    if found["status"] in ENDED:
        _follow(subscription)
        raise Conflict("This subscription has ended; it can't be changed any more.")
    return found


def _fetch(subscription: str) -> Json:
    with _saying("look at a subscription"):
        return mirror.fetch("subscription", subscription)


def _update(subscription: str, params: Any, key: str) -> None:
    with _saying("change a subscription"):
        api().v1.subscriptions.update(subscription, params, {"idempotency_key": key})


def _release_schedule(subscription: str) -> None:
    """A plan change that waits would refuse or undo what is to be done now."""
    if schedule := linked(_fetch(subscription).get("schedule")):
        with _saying("release a schedule"):
            api().v1.subscription_schedules.release(schedule)


def _follow(subscription: str) -> tables.Subscription:
    row = follow_subscription(subscription)
    if row is None:
        raise Conflict("This subscription belongs to nobody here: change it at Stripe.")
    return row


@contextmanager
def _saying(what: str) -> Iterator[None]:
    """``asking`` for staff, who may know what Stripe says of a refusal or of a card."""
    try:
        with asking(what):
            yield
    except stripe.CardError as error:
        raise StripeRefused(f"The card was declined: {error.user_message}") from error
    except StripeRefused as error:
        cause = error.__cause__
        said = getattr(cause, "user_message", None) or str(cause)
        raise StripeRefused(f"Stripe refuses this: {said}") from cause
