"""Finding what Stripe told of in vain: while we were away, or were not told at all.

Stripe keeps events for 30 days. Every hour those since the last time are listed and applied as if
they had been delivered, and live subscriptions are compared with the mirror. After a longer gap,
what was paid, refunded and disputed meanwhile is listed instead. All of it only looks at objects as
they are now, so it may run late, twice, or twice at once.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from django.conf import settings
from django.db import connection
from django.utils import timezone
from djstripe.models import Event, Subscription

from billing import events, payments
from billing.following import LIVE, follow_subscription
from billing.gateway.listing import listing
from billing.models import CatchUp, Customer
from common.errors import FareboxError, Unavailable

log = structlog.get_logger(__name__)

OVERLAP = timedelta(hours=1)  # for clocks that differ, and lists that lag
EVENTS_KEPT = timedelta(days=29)  # at Stripe: 30
# How long before it was paid, or changed, an object may have been made: a session lives for a day,
# an invoice is tried again for weeks, a dispute takes months.
_OLDER = {
    "/v1/checkout/sessions": timedelta(days=2),
    "/v1/payment_intents": timedelta(days=2),
    "/v1/invoices": timedelta(days=60),
    "/v1/refunds": timedelta(days=30),
    "/v1/disputes": timedelta(days=180),
}
REMEMBERED = timedelta(days=60)  # our own rows of events; Stripe tells of none so old


@dataclass
class Caught:
    """What a run did. ``failed`` tells which objects could not be looked at; they are next time."""

    applied: int = 0
    known: int = 0
    subscriptions: int = 0
    failed: list[str] = field(default_factory=list)


def catch_up() -> Caught:
    """Apply what was missed since the last run. Must be called outside transactions.

    What fails does not hold the rest up, but the next run begins there again. Raises
    ``StripeUnavailable`` when Stripe can't even be listed, and ``Unavailable`` when something
    failed.
    """
    caught = Caught()
    if not settings.STRIPE_SECRET_KEY:
        return caught
    began = timezone.now()
    since = CatchUp.objects.values_list("until", flat=True).first()
    if since is None:
        since = began - EVENTS_KEPT
    elif since < began - EVENTS_KEPT:
        _look_at_objects(since, caught)
    failed_at = _apply_events(max(since - OVERLAP, began - EVENTS_KEPT), caught)
    _compare_subscriptions(caught)
    if not caught.failed:
        _move_to(began)
    elif failed_at is not None:
        _move_to(max(since, min(failed_at, began)))
    Event.objects.filter(created__lt=began - REMEMBERED).delete()
    log.info("caught up with Stripe", since=since.isoformat(), applied=caught.applied,
             subscriptions=caught.subscriptions, failed=len(caught.failed))  # fmt: skip
    if caught.failed:
        raise Unavailable(f"Not caught up with Stripe: {', '.join(caught.failed[:20])}")
    return caught


def _apply_events(since: datetime, caught: Caught) -> datetime | None:
    """Those of our types since then; answers when the first of those happened that failed."""
    failed_at = None
    found = listing("/v1/events", created={"gte": int(since.timestamp())})
    ours = (event for event in found if event["type"] in events.LOOKS)
    for batch in _batches(ours):
        known = set(
            Event.objects.filter(id__in=[one["id"] for one in batch]).values_list("id", flat=True)
        )
        caught.known += len(known)
        for event in batch:
            if event["id"] in known:
                continue
            if _try(caught, event["id"], partial(events.apply, event)):
                caught.applied += 1
            elif caught.failed[-1:] == [event["id"]]:
                happened = events.created(event)
                failed_at = min(failed_at or happened, happened)
    return failed_at


def _batches(found: Iterator[Any], size: int = 100) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for one in found:
        batch.append(one)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _try(caught: Caught, name: str, do: Callable[[], Any]) -> Any:
    """What ``do`` answers; ``None`` when it failed, which is noted."""
    try:
        return do()
    except FareboxError as error:
        log.warning("catching up failed", object=name, error=type(error).__name__)
    except Exception:
        log.exception("catching up failed", object=name)
    caught.failed.append(name)
    return None


def _look_at_objects(since: datetime, caught: Caught) -> None:
    """Everything that may have been paid or undone since then, where no event tells any more."""
    looks: list[tuple[str, dict[str, Any], Callable[[dict[str, Any]], Any]]] = [
        ("/v1/checkout/sessions", {"status": "complete"}, _session),
        ("/v1/invoices", {"status": "paid"}, lambda one: payments.apply_invoice(one["id"])),
        ("/v1/payment_intents", {}, lambda one: payments.apply_payment_intent(one["id"])),
        ("/v1/refunds", {}, _money_back),
        ("/v1/disputes", {}, _money_back),
    ]
    for path, filters, look in looks:
        earliest = int((since - OVERLAP - _OLDER[path]).timestamp())
        for one in listing(path, created={"gte": earliest}, **filters):
            if not events.is_a_strangers(one):
                _try(caught, one["id"], partial(look, one))


def _session(session: dict[str, Any]) -> None:
    payments.apply_session(session["id"])
    if session["invoice"]:
        payments.apply_invoice(session["invoice"])


def _money_back(about: dict[str, Any]) -> None:
    if about["payment_intent"]:
        payments.apply_changed_intent(about["payment_intent"])


def _compare_subscriptions(caught: Caught) -> None:
    """Look again at each that differs from the mirror, and at those live here and not there."""
    ours = set(Customer.objects.filter(closing_at=None).values_list("stripe_id", flat=True))
    rows = Subscription.objects.filter(stripe_data__status__in=LIVE, customer__in=ours)
    unseen = set(rows.values_list("id", flat=True))
    for batch in _batches(listing("/v1/subscriptions")):
        mirrored = dict(
            Subscription.objects.filter(id__in=[one["id"] for one in batch]).values_list(
                "id", "stripe_data"
            )
        )
        for one in batch:
            unseen.discard(one["id"])
            if one["customer"] in ours and mirrored.get(one["id"]) != one:
                _follow(one["id"], caught)
    for id in unseen:
        _follow(id, caught)


def _follow(id: str, caught: Caught) -> None:
    if _try(caught, id, partial(follow_subscription, id)):
        caught.subscriptions += 1


def _move_to(until: datetime) -> None:
    """Only forward, whoever else is running."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO billing_catchup AS c (id, until, updated_at) VALUES (1, %s, now())"
            " ON CONFLICT (id) DO UPDATE"
            " SET until = greatest(c.until, excluded.until), updated_at = now()",
            [until],
        )
