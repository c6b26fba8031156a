"""Whose a paid object is: by our own tables, never by what the object says of itself alone."""

import uuid
from collections.abc import Mapping
from typing import Any

from billing.gateway.values import linked
from billing.models import Customer, Order

ORDER = "farebox_order"  # in the metadata of what we make at Stripe


def customer_by_id(value: Any) -> Customer | None:
    """The customer of ours that an object names, by id or expanded."""
    id = linked(value)
    return Customer.objects.select_related("user").filter(stripe_id=id).first() if id else None


def order_id(data: Mapping[str, Any]) -> uuid.UUID | None:
    """The order that an object's metadata names, whosever it is."""
    try:
        return uuid.UUID(str((data.get("metadata") or {}).get(ORDER)))
    except ValueError:
        return None


def order_of(data: Mapping[str, Any], customer: Customer) -> Order | None:
    """The same, if it is that customer's."""
    id = order_id(data)
    orders = Order.objects.select_related("plan").filter(user=customer.user_id)
    return orders.filter(pk=id).first() if id else None


def names_top_up(data: Mapping[str, Any]) -> bool:
    """Whether an object's metadata names a top-up's order, whosever it is."""
    id = order_id(data)
    return id is not None and Order.objects.filter(pk=id, kind=Order.Kind.TOP_UP).exists()
