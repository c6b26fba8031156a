"""Every address of the API with the verb that answers it."""

from __future__ import annotations

from collections.abc import Callable

from . import (
    account,
    cards,
    catalog,
    charges,
    coupons,
    customers,
    disputes,
    events,
    features,
    invoice_api,
    payment_api,
    portal,
    refunds,
    schedules,
    session_api,
    subscription_api,
    subscription_update,
    subscriptions,
    webhooks,
)
from .forms import Params
from .store import Object, Store

Verb = Callable[..., Object]


def _retrieve(table: str, param: str = "id") -> Verb:
    def verb(store: Store, params: Params, id: str) -> Object:
        return store.get(table, id, param)

    return verb


ROUTES: list[tuple[str, str, Verb]] = [
    ("GET", "/v1/account", account.retrieve),
    ("GET", "/v1/accounts/{id}", account.retrieve),
    ("GET", "/v1/balance", account.balance),
    ("GET", "/v1/balance_transactions", charges.list_balance_transactions),
    ("GET", "/v1/balance_transactions/{id}", _retrieve("balance_transactions")),
    # Products and prices
    ("POST", "/v1/products", catalog.create_product),
    ("GET", "/v1/products", catalog.list_products),
    ("GET", "/v1/products/{id}", _retrieve("products")),
    ("POST", "/v1/products/{id}", catalog.update_product),
    ("DELETE", "/v1/products/{id}", catalog.delete_product),
    ("GET", "/v1/products/{id}/features", features.product_features),
    ("POST", "/v1/products/{id}/features", features.attach_feature),
    ("POST", "/v1/entitlements/features", features.create_feature),
    ("GET", "/v1/entitlements/features", features.list_features),
    ("POST", "/v1/prices", catalog.create_price),
    ("GET", "/v1/prices", catalog.list_prices),
    ("GET", "/v1/prices/{id}", _retrieve("prices")),
    ("POST", "/v1/prices/{id}", catalog.update_price),
    # Coupons and promotion codes
    ("POST", "/v1/coupons", coupons.create),
    ("GET", "/v1/coupons", coupons.list_coupons),
    ("GET", "/v1/coupons/{id}", _retrieve("coupons")),
    ("POST", "/v1/coupons/{id}", coupons.update),
    ("DELETE", "/v1/coupons/{id}", coupons.delete),
    ("POST", "/v1/promotion_codes", coupons.create_code),
    ("GET", "/v1/promotion_codes", coupons.list_codes),
    ("GET", "/v1/promotion_codes/{id}", _retrieve("promotion_codes")),
    ("POST", "/v1/promotion_codes/{id}", coupons.update_code),
    # Customers and cards
    ("POST", "/v1/customers", customers.create),
    ("GET", "/v1/customers", customers.list_customers),
    ("GET", "/v1/customers/{id}", customers.retrieve),
    ("POST", "/v1/customers/{id}", customers.update),
    ("GET", "/v1/customers/{customer}/payment_methods", cards.list_methods),
    ("POST", "/v1/payment_methods", cards.create),
    ("GET", "/v1/payment_methods", cards.list_methods),
    ("GET", "/v1/payment_methods/{id}", _retrieve("payment_methods")),
    ("POST", "/v1/payment_methods/{id}", cards.update),
    ("POST", "/v1/payment_methods/{id}/attach", cards.attach_api),
    ("POST", "/v1/payment_methods/{id}/detach", cards.detach),
    ("DELETE", "/v1/customers/{id}", subscriptions.delete_customer),
    ("GET", "/v1/customers/{customer}/balance_transactions", customers.list_balance),
    # Payments
    ("POST", "/v1/payment_intents", payment_api.create),
    ("GET", "/v1/payment_intents", payment_api.list_intents),
    ("GET", "/v1/payment_intents/{id}", _retrieve("payment_intents", "intent")),
    ("POST", "/v1/payment_intents/{id}", payment_api.update),
    ("POST", "/v1/payment_intents/{id}/confirm", payment_api.confirm),
    ("POST", "/v1/payment_intents/{id}/cancel", payment_api.cancel),
    ("GET", "/v1/charges", charges.list_charges),
    ("GET", "/v1/charges/{id}", _retrieve("charges")),
    ("POST", "/v1/charges/{id}", charges.update),
    ("GET", "/v1/charges/{charge}/refunds", refunds.list_refunds),
    ("POST", "/v1/refunds", refunds.create),
    ("GET", "/v1/refunds", refunds.list_refunds),
    ("GET", "/v1/refunds/{id}", _retrieve("refunds")),
    ("POST", "/v1/refunds/{id}", refunds.update),
    ("GET", "/v1/disputes", disputes.list_disputes),
    ("GET", "/v1/disputes/{id}", _retrieve("disputes")),
    ("POST", "/v1/disputes/{id}", disputes.update),
    ("POST", "/v1/disputes/{id}/close", disputes.accept),
    # Subscriptions
    ("POST", "/v1/subscriptions", subscription_api.create),
    ("GET", "/v1/subscriptions", subscription_api.list_subscriptions),
    ("GET", "/v1/subscriptions/{id}", _retrieve("subscriptions")),
    ("POST", "/v1/subscriptions/{id}", subscription_update.update),
    ("DELETE", "/v1/subscriptions/{id}", subscription_api.cancel),
    ("POST", "/v1/subscriptions/{id}/resume", subscription_api.resume),
    ("GET", "/v1/subscription_items", subscription_api.list_items),
    ("GET", "/v1/subscription_items/{id}", _retrieve("subscription_items")),
    ("POST", "/v1/subscription_items/{id}", subscription_update.update_item),
    ("POST", "/v1/subscription_schedules", schedules.create),
    ("GET", "/v1/subscription_schedules", schedules.list_schedules),
    ("GET", "/v1/subscription_schedules/{id}", _retrieve("schedules")),
    ("POST", "/v1/subscription_schedules/{id}", schedules.update),
    ("POST", "/v1/subscription_schedules/{id}/release", schedules.release_api),
    ("POST", "/v1/subscription_schedules/{id}/cancel", schedules.cancel_api),
    # Invoices
    ("POST", "/v1/invoices", invoice_api.create),
    ("GET", "/v1/invoices", invoice_api.list_invoices),
    ("GET", "/v1/invoices/{id}", _retrieve("invoices")),
    ("POST", "/v1/invoices/{id}", invoice_api.update),
    ("DELETE", "/v1/invoices/{id}", invoice_api.delete),
    ("GET", "/v1/invoices/{id}/lines", invoice_api.list_lines),
    ("POST", "/v1/invoices/{id}/finalize", invoice_api.finalize),
    ("POST", "/v1/invoices/{id}/pay", invoice_api.pay),
    ("POST", "/v1/invoices/{id}/void", invoice_api.void),
    ("POST", "/v1/invoices/{id}/mark_uncollectible", invoice_api.mark_uncollectible),
    ("POST", "/v1/invoiceitems", invoice_api.create_item),
    ("GET", "/v1/invoiceitems", invoice_api.list_items),
    ("GET", "/v1/invoiceitems/{id}", _retrieve("invoice_items")),
    ("GET", "/v1/invoice_payments", invoice_api.list_payments),
    ("GET", "/v1/invoice_payments/{id}", _retrieve("invoice_payments")),
    # Checkout and portal
    ("POST", "/v1/checkout/sessions", session_api.create),
    ("GET", "/v1/checkout/sessions", session_api.list_sessions),
    ("GET", "/v1/checkout/sessions/{id}", _retrieve("sessions")),
    ("POST", "/v1/checkout/sessions/{id}", session_api.update),
    ("POST", "/v1/checkout/sessions/{id}/expire", session_api.expire),
    ("GET", "/v1/checkout/sessions/{id}/line_items", session_api.line_items),
    ("POST", "/v1/billing_portal/configurations", portal.create_configuration),
    ("GET", "/v1/billing_portal/configurations", portal.list_configurations),
    ("GET", "/v1/billing_portal/configurations/{id}", _retrieve("portal_configurations")),
    ("POST", "/v1/billing_portal/configurations/{id}", portal.update_configuration),
    ("POST", "/v1/billing_portal/sessions", portal.create_session),
    # Events and webhooks
    ("GET", "/v1/events", events.list_events),
    ("GET", "/v1/events/{id}", _retrieve("events")),
    ("POST", "/v1/webhook_endpoints", webhooks.create),
    ("GET", "/v1/webhook_endpoints", webhooks.list_endpoints),
    ("GET", "/v1/webhook_endpoints/{id}", _retrieve("webhook_endpoints")),
    ("POST", "/v1/webhook_endpoints/{id}", webhooks.update),
    ("DELETE", "/v1/webhook_endpoints/{id}", webhooks.delete),
]
