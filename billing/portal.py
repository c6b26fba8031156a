"""Where somebody manages their plan, cards and invoices: Stripe's customer portal, or a page of
our own in the demo mode."""

from typing import Any

from django.conf import settings
from django.urls import reverse

from accounts.models import User
from billing.customers import for_customer, require_buyer
from billing.gateway.client import api, asking
from billing.setup import portal_configuration

LOCAL = "/dashboard/billing/demo/"


def open_portal(user: User) -> str:
    """The address of the portal, good for some minutes and for whoever has it: not for API keys.

    Somebody who never bought anything becomes a customer by it. Raises ``PermissionRefused`` (who
    can't buy), ``StripeUnavailable`` and ``StripeRefused``.
    """
    if not settings.ENABLE_PAYMENTS:
        return settings.PUBLIC_URL + reverse("billing-demo")
    require_buyer(user)
    return for_customer(user, _session)


def _session(customer: str) -> str:
    wanted: Any = {
        "customer": customer,
        "return_url": f"{settings.PUBLIC_URL}/dashboard/billing/",
    }
    if configuration := portal_configuration():  # else Stripe's own default, if there is one
        wanted["configuration"] = configuration
    with asking("open the portal"):
        return api().v1.billing_portal.sessions.create(wanted).url
