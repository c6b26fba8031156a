"""Refuses parameters that Stripe does not know, as Stripe does: a misspelt one is no parameter.

What is known is what stripe-python declares; only names at the top are looked at. They are read
from its files, for importing it takes longer than all that this process does before it listens.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from .errors import StripeError
from .forms import Params

_DECLARED = {
    "/v1/products": "ProductCreateParams",
    "/v1/products/{id}": "ProductUpdateParams",
    "/v1/products/{id}/features": "ProductFeatureCreateParams",
    "/v1/entitlements/features": "entitlements.FeatureCreateParams",
    "/v1/prices": "PriceCreateParams",
    "/v1/prices/{id}": "PriceUpdateParams",
    "/v1/coupons": "CouponCreateParams",
    "/v1/coupons/{id}": "CouponUpdateParams",
    "/v1/promotion_codes": "PromotionCodeCreateParams",
    "/v1/promotion_codes/{id}": "PromotionCodeUpdateParams",
    "/v1/customers": "CustomerCreateParams",
    "/v1/customers/{id}": "CustomerUpdateParams",
    "/v1/payment_methods": "PaymentMethodCreateParams",
    "/v1/payment_methods/{id}": "PaymentMethodUpdateParams",
    "/v1/payment_methods/{id}/attach": "PaymentMethodAttachParams",
    "/v1/payment_methods/{id}/detach": "PaymentMethodDetachParams",
    "/v1/payment_intents": "PaymentIntentCreateParams",
    "/v1/payment_intents/{id}": "PaymentIntentUpdateParams",
    "/v1/payment_intents/{id}/confirm": "PaymentIntentConfirmParams",
    "/v1/payment_intents/{id}/cancel": "PaymentIntentCancelParams",
    "/v1/charges/{id}": "ChargeUpdateParams",
    "/v1/refunds": "RefundCreateParams",
    "/v1/refunds/{id}": "RefundUpdateParams",
    "/v1/disputes/{id}": "DisputeUpdateParams",
    "/v1/disputes/{id}/close": "DisputeCloseParams",
    "/v1/subscriptions": "SubscriptionCreateParams",
    "/v1/subscriptions/{id}": "SubscriptionUpdateParams",
    "/v1/subscriptions/{id}/resume": "SubscriptionResumeParams",
    "/v1/subscription_items/{id}": "SubscriptionItemUpdateParams",
    "/v1/subscription_schedules": "SubscriptionScheduleCreateParams",
    "/v1/subscription_schedules/{id}": "SubscriptionScheduleUpdateParams",
    "/v1/subscription_schedules/{id}/release": "SubscriptionScheduleReleaseParams",
    "/v1/subscription_schedules/{id}/cancel": "SubscriptionScheduleCancelParams",
    "/v1/invoices": "InvoiceCreateParams",
    "/v1/invoices/{id}": "InvoiceUpdateParams",
    "/v1/invoices/{id}/finalize": "InvoiceFinalizeInvoiceParams",
    "/v1/invoices/{id}/pay": "InvoicePayParams",
    "/v1/invoices/{id}/void": "InvoiceVoidInvoiceParams",
    "/v1/invoices/{id}/mark_uncollectible": "InvoiceMarkUncollectibleParams",
    "/v1/invoiceitems": "InvoiceItemCreateParams",
    "/v1/checkout/sessions": "checkout.SessionCreateParams",
    "/v1/checkout/sessions/{id}": "checkout.SessionUpdateParams",
    "/v1/checkout/sessions/{id}/expire": "checkout.SessionExpireParams",
    "/v1/billing_portal/configurations": "billing_portal.ConfigurationCreateParams",
    "/v1/billing_portal/configurations/{id}": "billing_portal.ConfigurationUpdateParams",
    "/v1/billing_portal/sessions": "billing_portal.SessionCreateParams",
    "/v1/webhook_endpoints": "WebhookEndpointCreateParams",
    "/v1/webhook_endpoints/{id}": "WebhookEndpointUpdateParams",
}


@cache
def _names(path: str) -> frozenset[str]:
    *folders, name = _DECLARED[path].split(".")
    file = re.sub(r"(?=[A-Z])", "_", name).lower() + ".py"
    source = _stripe().joinpath("params", *folders, file).read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            fields = (one.target for one in node.body if isinstance(one, ast.AnnAssign))
            return frozenset(field.id for field in fields if isinstance(field, ast.Name))
    raise LookupError(f"stripe-python declares no {name} in {file}")


@cache
def _stripe() -> Path:
    """The folder of stripe-python, which is found without being imported."""
    spec = find_spec("stripe")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def check(method: str, path: str, params: Params) -> None:
    """StripeError ``parameter_unknown`` for the first one that is not known."""
    if method != "POST" or path not in _DECLARED:
        return
    for name in params:
        if name not in _names(path):
            raise StripeError(
                f"Received unknown parameter: {name}", code="parameter_unknown", param=name
            )
