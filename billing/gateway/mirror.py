"""Keeping what Stripe has in dj-stripe's tables, never older than what is there.

Events come late, twice and in any order, so an event only says which object to look at:
``refresh`` asks Stripe for it as it is now. Two that refresh one object at once could still write
in the wrong order. No lock is held while Stripe is asked; instead each row keeps when it was asked
for (``djstripe_updated``, by the database's clock), and an answer that was asked for earlier is
dropped. Whatever happens at Stripe is followed by a question, so what is kept in the end is the
answer to one that was asked after the last change.

dj-stripe's own sync is not used: it asks Stripe inside transactions, writes without that look, and
keeps the secret key in a table.
"""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import stripe
from django.db import IntegrityError, models, transaction
from djstripe.fields import StripeForeignKey
from djstripe.models import Customer
from djstripe.models.base import StripeModel

from billing.gateway.client import api, asking
from billing.gateway.moments import moment
from billing.gateway.values import instant, linked
from common.errors import Unavailable

_NOT_FROM_STRIPE = {"subscriber", "date_purged", "stripe_data"}

M = TypeVar("M", bound=StripeModel)

# Where an object of each model is asked for; stripe-python's classes know the rest.
_PATHS = {
    "charge": "/v1/charges/",
    "checkout.session": "/v1/checkout/sessions/",
    "customer": "/v1/customers/",
    "dispute": "/v1/disputes/",
    "invoice": "/v1/invoices/",
    "payment_intent": "/v1/payment_intents/",
    "payment_method": "/v1/payment_methods/",
    "price": "/v1/prices/",
    "product": "/v1/products/",
    "refund": "/v1/refunds/",
    "subscription": "/v1/subscriptions/",
}


def fetch(kind: str, id: str, expand: Sequence[str] = ()) -> dict[str, Any]:
    """An object of Stripe's as it is now; ``kind`` is what its ``object`` says.

    Raises ``StripeUnavailable`` and ``StripeRefused``; ``stripe.InvalidRequestError`` is the
    latter's cause, see ``absent``.
    """
    with asking(f"retrieve {kind}"):
        answer = api().raw_request("get", _PATHS[kind] + id, expand=list(expand))
    return dict(json.loads(answer.body))


def refresh(model: type[M], id: str, expand: Sequence[str] = ()) -> M:
    """Ask for an object and keep it. Must be called outside transactions."""
    row = refresh_if(model, id, lambda _data: True, expand)
    assert row is not None
    return row


def refresh_if(
    model: type[M], id: str, wanted: Callable[[dict[str, Any]], Any], expand: Sequence[str] = ()
) -> M | None:
    """The same, but keep it only if it is ``wanted``: an account of Stripe's may have customers
    that are not ours. ``None`` when it is not."""
    asked = moment()
    data = fetch(_kind(model), id, expand)
    return keep_told(model, data, asked) if wanted(data) else None


def keep_told(model: type[M], data: dict[str, Any], asked: datetime) -> M:
    """Keep an object that came whole with another answer, or in a list, asked for at ``asked``
    (``moments.moment``) or later. Must be called outside transactions."""
    _bring_customer(model, data)
    return _write(model, data, asked)


def _bring_customer(model: type[StripeModel], data: dict[str, Any]) -> None:
    """The row of the customer that an object's row can't be without."""
    names = {field.name for field in model._meta.concrete_fields if not field.null}
    if "customer" in names and _present(Customer, data.get("customer")) is None:
        value = data["customer"]
        refresh(Customer, value["id"] if isinstance(value, dict) else value)


def keep(model: type[M], data: dict[str, Any]) -> M:
    """Keep an object that Stripe has just made for us, unless somebody has kept it since: that
    one is as new or newer."""
    made = instant(data["created"])
    return _write(model, data, min(made, moment()))  # Stripe's clock may be ahead of ours


def _kind(model: type[StripeModel]) -> str:
    return str(getattr(model.stripe_class, "OBJECT_NAME", ""))


def _write(model: type[M], data: dict[str, Any], asked: datetime, again: bool = True) -> M:
    """The row as it is now: of ``data``, or of what was asked for later."""
    try:
        with transaction.atomic():
            row = model.objects.select_for_update(of=("self",)).filter(id=data["id"]).first()
            if row is not None and row.djstripe_updated > asked:
                return row
            columns = record(model, data)
            if row is None:
                row = model(**columns)
                row.save(force_insert=True)  # which puts the time of writing there
                columns = {}
            columns["djstripe_updated"] = asked
            for name, value in columns.items():
                setattr(row, name, value)
            model.objects.filter(pk=row.pk).update(**columns)
            return row
    except IntegrityError:
        if model.objects.filter(id=data["id"]).exists():
            return _write(model, data, asked)  # made by another meanwhile
        if _is_left_behind(model, data):
            raise Unavailable("Its customer is just being deleted. Try again shortly.") from None
        if not again:
            raise
        return _write(model, data, asked, again=False)  # what it linked to went meanwhile


def _is_left_behind(model: type[StripeModel], data: dict[str, Any]) -> bool:
    """Whether a row that it can't be without is gone: somebody is leaving, and theirs go."""
    return any(
        _present(field.related_model, data.get(field.name)) is None
        for field in model._meta.concrete_fields
        if isinstance(field, StripeForeignKey) and not field.null
    )


def record(model: type[StripeModel], data: dict[str, Any]) -> dict[str, Any]:
    """The columns of an object: dj-stripe's conversions, and links to rows that are there."""
    found: dict[str, Any] = {"stripe_data": data, "livemode": data.get("livemode")}
    for field in model._meta.concrete_fields:
        name = field.name
        if name.startswith("djstripe_") or name in _NOT_FROM_STRIPE:
            continue
        if isinstance(field, StripeForeignKey):
            found[field.attname] = _present(field.related_model, data.get(name))
        elif isinstance(field, models.ForeignKey):
            continue
        elif hasattr(field, "stripe_to_db"):
            found[name] = field.stripe_to_db(data)
        else:
            found[name] = data.get(name)
        if found.get(name) is None and isinstance(field, (models.CharField, models.TextField)):
            found[name] = ""
    return found


def _present(model: Any, value: Any) -> str | None:
    """The id of a linked object, if we have a row of it."""
    id = linked(value)
    return id if id and model.objects.filter(id=id).exists() else None


def absent(error: Exception) -> bool:
    """Whether Stripe says that it has no such object: a ``StripeRefused``, or Stripe's own."""
    cause = error.__cause__ or error
    return isinstance(cause, stripe.InvalidRequestError) and cause.code == "resource_missing"
