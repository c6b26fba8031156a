"""Keeping what became of a charge: staff look at refunds and disputes where they look at payments.

Other charges are not kept: they hold addresses and cards, and nothing here asks for them.
"""

from collections.abc import Mapping
from typing import Any

from djstripe.models import Charge, Dispute, Refund

from billing.gateway.listing import listing
from billing.gateway.mirror import fetch, keep_told
from billing.gateway.moments import moment
from billing.models import Customer


def keep_money_back(intent: str) -> None:
    """Keep the charge of a payment intent, and its refunds and disputes, if the customer is one of
    ours. Must be called outside transactions; raises ``StripeUnavailable`` and
    ``StripeRefused``."""
    asked = moment()
    charge = fetch("payment_intent", intent, ["latest_charge"])["latest_charge"]
    if not charge or not _is_ours(charge):
        return
    keep_told(Charge, charge, asked)
    for one in listing("/v1/refunds", charge=charge["id"]):
        keep_told(Refund, one, asked)
    for one in listing("/v1/disputes", charge=charge["id"]):
        keep_told(Dispute, one, asked)


def _is_ours(charge: Mapping[str, Any]) -> bool:
    return Customer.objects.filter(stripe_id=charge["customer"]).exists()
