"""How the admin (django-unfold) and the API's description (drf-spectacular) present themselves."""

from typing import Any

from django.templatetags.static import static
from django.urls import reverse_lazy

SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Farebox",
    "DESCRIPTION": (
        "Accounts, credits and a metered AI proxy for browser extensions and other AI clients.\n\n"
        "Amounts are strings of credits with six decimals. Times are UTC. Every answer carries "
        '`x-request-id`; errors are `{"error": {"message", "type", "param", "code"}}`.\n\n'
        "The AI endpoints under `/v1/` speak OpenAI's and Anthropic's own protocols, so point "
        "their SDKs here; they are not repeated in this description. Neither is sign-in: "
        "extensions find it in the [OpenID Connect discovery document]"
        "(/.well-known/openid-configuration), programs in the [headless API's own description]"
        "(/_allauth/openapi.json)."
    ),
    "VERSION": "0.1.0",
    "SCHEMA_PATH_PREFIX": "/api/",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "EntitlementStatus": "billing.models.Entitlement.Status",
        "TransferKind": "ledger.models.Transfer.Kind",
        "Metering": "billing.models.Plan.Metering",
        "JobState": "jobs.models.Job.State",
    },
}


def _page(title: str, icon: str, name: str, permission: str) -> dict[str, Any]:
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{name}_changelist"),
        "permission": lambda request: request.user.has_perm(permission),
    }


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Farebox",
    "SITE_HEADER": "Farebox",
    "SITE_SUBHEADER": "Accounts, credits, calls",
    "SITE_SYMBOL": "toll",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("farebox.svg")},
    ],
    "SITE_URL": "/",
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "STYLES": [lambda request: static("admin.css")],
    "DASHBOARD_CALLBACK": "jobs.dashboard.dashboard",
    "COLORS": {
        "primary": {
            "50": "#effaf6", "100": "#d8f3e8", "200": "#b4e6d4", "300": "#82d2b9",
            "400": "#4db799", "500": "#2b9c7f", "600": "#1c7d66", "700": "#176454",
            "800": "#155044", "900": "#134239", "950": "#092521",
        }
    },
    "SIDEBAR": {
        "show_search": True,
        "navigation": [
            {
                "title": "People",
                "items": [
                    _page("Users", "person", "accounts_user", "accounts.view_user"),
                    _page("API keys", "key", "accounts_apikey", "accounts.view_apikey"),
                    _page("Roles", "group", "auth_group", "auth.view_group"),
                    {
                        "title": "OIDC clients",
                        "icon": "extension",
                        "link": reverse_lazy("admin:allauth_idp_oidc_client_changelist"),
                        "permission": lambda request: request.user.is_superuser,
                    },
                ],
            },
            {
                "title": "Calls",
                "separator": True,
                "items": [
                    _page("Calls", "bolt", "usage_call", "usage.view_call"),
                    _page("Jobs", "pending_actions", "jobs_job", "jobs.view_job"),
                    _page("Months", "calendar_month", "usage_monthlyusage",
                          "usage.view_monthlyusage"),
                    _page("Models", "smart_toy", "usage_aimodel", "usage.view_aimodel"),
                    _page("Prices", "sell", "usage_price", "usage.view_price"),
                    _page("Providers", "hub", "usage_provider", "usage.view_provider"),
                ],
            },
            {
                "title": "Plans",
                "separator": True,
                "items": [
                    _page("Plans", "workspace_premium", "billing_plan", "billing.view_plan"),
                    _page("Credit prices", "sell", "billing_credittier",
                          "billing.view_credittier"),
                    _page("Entitlements", "verified_user", "billing_entitlement",
                          "billing.view_entitlement"),
                ],
            },
            {
                "title": "Payments",
                "separator": True,
                "items": [
                    _page("Orders", "shopping_cart", "billing_order", "billing.view_order"),
                    _page("Payments", "payments", "billing_payment", "billing.view_payment"),
                    _page("Top-ups", "autorenew", "billing_topup", "billing.view_topup"),
                    _page("Demo subscriptions", "science", "billing_demosubscription",
                          "billing.view_demosubscription"),
                ],
            },
            {
                "title": "At Stripe",
                "separator": True,
                "items": [
                    _page("Subscriptions", "event_repeat", "djstripe_subscription",
                          "djstripe.view_subscription"),
                    _page("Invoices", "receipt_long", "djstripe_invoice",
                          "djstripe.view_invoice"),
                    _page("Refunds", "undo", "djstripe_refund", "djstripe.view_refund"),
                    _page("Disputes", "gavel", "djstripe_dispute", "djstripe.view_dispute"),
                    _page("Customers", "contacts", "billing_customer",
                          "billing.view_customer"),
                    _page("Events", "notifications", "djstripe_event", "djstripe.view_event"),
                    _page("Webhooks", "webhook", "djstripe_webhookendpoint",
                          "djstripe.view_webhookendpoint"),
                ],
            },
            {
                "title": "Ledger",
                "separator": True,
                "items": [
                    _page("Transfers", "swap_horiz", "ledger_transfer", "ledger.view_transfer"),
                    _page("Holds", "lock_clock", "ledger_hold", "ledger.view_hold"),
                    _page("Lots", "stacks", "ledger_grant", "ledger.view_grant"),
                    _page("Accounts", "account_balance", "ledger_account",
                          "ledger.view_account"),
                    _page("Reconciliations", "fact_check", "ledger_reconciliation",
                          "ledger.view_reconciliation"),
                    _page("Idempotency keys", "fingerprint", "ledger_idempotencykey",
                          "ledger.view_idempotencykey"),
                ],
            },
        ],
    },
}  # fmt: skip
