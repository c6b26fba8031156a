"""What the mirror knows of somebody, told or forgotten: Stripe's objects carry addresses, names
and cards.

A row belongs to a customer by its own ``customer``; refunds and disputes by their charge.
"""

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Coalesce
from django.utils import timezone
from djstripe import models as tables

from billing.models import Customer

_OWNED = (
    tables.Session,
    tables.Charge,
    tables.Invoice,
    tables.Subscription,
    tables.PaymentIntent,
    tables.PaymentMethod,
)
_OF_A_CHARGE = (tables.Dispute, tables.Refund)
# Younger rows may be of a customer who is just being made.
STRANGE_AFTER = timedelta(hours=1)


def told(customer: str) -> dict[str, Any]:
    """What is linked to a customer, as Stripe told it: JSON by the kind of object."""
    of = tables.Customer.objects.filter(id=customer).values_list("stripe_data", flat=True)
    found: dict[str, Any] = {"details": of.first()}
    for model in (tables.PaymentMethod, tables.Subscription, tables.Invoice, tables.Charge):
        rows = model.objects.filter(customer_id=customer).order_by("djstripe_id")
        name = str(model._meta.verbose_name_plural).replace(" ", "_")
        found[name] = list(rows.values_list("stripe_data", flat=True))
    return found


def forget(customer: str) -> None:
    """Delete what is linked to a customer, and their row. Found by index, so that it may be done
    in a transaction; ``forget_whole`` finds the rest."""
    charges = list(tables.Charge.objects.filter(customer_id=customer).values_list("id", flat=True))
    for model in _OF_A_CHARGE:
        _delete(model.objects.filter(charge_id__in=charges))
    for model in _OWNED:
        _delete(model.objects.filter(customer_id=customer))
    _delete(tables.Customer.objects.filter(id=customer))


def forget_whole(customer: str) -> None:
    """The same, with rows that came in before what they would link to. Reads whole tables."""
    charges = list(_named(tables.Charge.objects, customer).values_list("id", flat=True))
    for model in _OF_A_CHARGE:
        _delete(model.objects.filter(stripe_data__charge__in=charges))
    for model in _OWNED:
        _delete(_named(model.objects, customer))
    _delete(tables.Customer.objects.filter(id=customer))


def forget_strangers() -> int:
    """Delete what belongs to no customer of ours: what was heard late of somebody who has left.
    Reads whole tables; answers how many rows went."""
    old = Q(djstripe_updated__lt=timezone.now() - STRANGE_AFTER)
    ours = Customer.objects.values("stripe_id")
    gone = _delete(tables.Customer.objects.filter(old).exclude(id__in=ours))
    for model in _OWNED:
        strange = _with_name(model.objects.filter(old)).filter(named__isnull=False)
        gone += _delete(strange.exclude(named__in=ours))
    for model in _OF_A_CHARGE:
        charge = KeyTextTransform("charge", "stripe_data")
        loose = model.objects.filter(old, charge_id=None).annotate(named=charge)
        gone += _delete(loose.exclude(named__in=tables.Charge.objects.values("id")))
    return gone


def _delete(rows: QuerySet[Any]) -> int:
    """Answers how many went, with what hung on them. The rows are locked before Django looks for
    what hangs on them: whoever writes a refund of a charge meanwhile waits, and finds none to link
    to. Without it the refund comes between, and the transaction fails when it commits.
    """
    with transaction.atomic():
        held = list(rows.select_for_update(of=("self",)).values_list("pk", flat=True))
        return rows.model.objects.filter(pk__in=held).delete()[0] if held else 0


def _named(rows: Any, customer: str) -> QuerySet[Any]:
    return _with_name(rows).filter(named=customer)


def _with_name(rows: Any) -> QuerySet[Any]:
    """With the customer's id as ``named``, whether Stripe was asked to expand it or not."""
    whole = KeyTextTransform("id", KeyTransform("customer", "stripe_data"))
    return rows.annotate(named=Coalesce(whole, KeyTextTransform("customer", "stripe_data")))
