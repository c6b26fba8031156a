"""What becomes of an order that is not paid (yet, or as it should be)."""

import structlog
from django.utils import timezone

from billing.models import Order

log = structlog.get_logger(__name__)

_WAITING = (Order.State.OPEN, Order.State.PENDING)


def pending(order: Order) -> None:
    """The checkout is completed, the money on its way."""
    Order.objects.filter(pk=order.pk, state=Order.State.OPEN).update(state=Order.State.PENDING)


def expired(order: Order) -> None:
    Order.objects.filter(pk=order.pk, state=Order.State.OPEN).update(
        state=Order.State.EXPIRED, ended=timezone.now()
    )


def failed(order: Order, why: str) -> None:
    """Nothing was paid, and nothing will be for this order."""
    Order.objects.filter(pk=order.pk, state__in=_WAITING).update(
        state=Order.State.FAILED, ended=timezone.now(), failure=why[:200]
    )


def refused(order: Order, why: str) -> None:
    """Something was paid that is not what was ordered: nothing is granted, staff have to look."""
    log.error("paid otherwise than ordered, nothing granted", order=str(order.pk), because=why)
    Order.objects.filter(pk=order.pk).exclude(state=Order.State.PAID).update(
        state=Order.State.FAILED, ended=timezone.now(), failure=why[:200]
    )


def paid(order: Order) -> None:
    """Paid, though given up as failed or expired before it may have been."""
    Order.objects.filter(pk=order.pk).exclude(state=Order.State.PAID).update(
        state=Order.State.PAID, ended=timezone.now(), failure=""
    )
