"""The one account, and its balance."""

from __future__ import annotations

from .forms import Params
from .store import ACCOUNT_ID, Object, Store

_CREATED = 1_700_000_000  # epoch seconds; long before anything here


def show(store: Store) -> Object:
    return {
        "id": ACCOUNT_ID,
        "object": "account",
        "business_profile": {
            "mcc": None,
            "name": "Farebox (fake)",
            "product_description": None,
            "support_address": None,
            "support_email": None,
            "support_phone": None,
            "support_url": None,
            "url": None,
        },
        "business_type": "company",
        "capabilities": {"card_payments": "active", "transfers": "active"},
        "charges_enabled": True,
        "controller": {"type": "account"},
        "country": "US",
        "created": _CREATED,
        "default_currency": "usd",
        "details_submitted": True,
        "email": "stripe@farebox.test",
        "external_accounts": {
            "object": "list",
            "data": [],
            "has_more": False,
            "url": f"/v1/accounts/{ACCOUNT_ID}/external_accounts",
        },
        "metadata": {},
        "payouts_enabled": True,
        "settings": {
            "bacs_debit_payments": {},
            "branding": dict.fromkeys(("icon", "logo", "primary_color", "secondary_color")),
            "card_payments": {"statement_descriptor_prefix": "FAREBOX"},
            "dashboard": {"display_name": "Farebox (fake)", "timezone": "Etc/UTC"},
            "payments": {"statement_descriptor": "FAREBOX"},
        },
        "type": "standard",
    }


def retrieve(store: Store, params: Params, id: str = "") -> Object:
    """``GET /v1/account``, and by its id."""
    return show(store)


def balance(store: Store, params: Params) -> Object:
    """``GET /v1/balance``: all that was moved."""
    sums: dict[str, int] = {}
    for moved in store.all("balance_transactions"):
        sums[moved["currency"]] = sums.get(moved["currency"], 0) + moved["net"]
    available = [{"amount": sum, "currency": currency} for currency, sum in sums.items()]
    return {"object": "balance", "available": available, "livemode": False, "pending": []}
