"""Keeping what became of a charge: staff look at refunds and disputes where they look at payments.

Other charges are not kept: they hold addresses and cards, and nothing here asks for them.
"""

from collections.abc import Mapping
from typing import Any

from djstripe.models import Charge, Dispute, Refund

from billing.gateway.listing import listing
from billing.gateway.mirror import fetch, refresh, refresh_if
from billing.models import Customer


def keep_money_back(intent: str) -> None:
    """Keep the charge of a payment intent, and its refunds and disputes, if the customer is one of
    ours. Must be called outside transactions; raises ``StripeUnavailable`` and
    ``StripeRefused``."""
    charge = fetch("payment_intent", intent)["latest_charge"]
    if not charge or refresh_if(Charge, charge, _is_ours) is None:
        return
    for one in listing("/v1/refunds", charge=charge):
        refresh(Refund, one["id"])
    for one in listing("/v1/disputes", charge=charge):
        refresh(Dispute, one["id"])


def _is_ours(charge: Mapping[str, Any]) -> bool:
    return Customer.objects.filter(stripe_id=charge["customer"]).exists()
