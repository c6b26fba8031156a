"""The customer portal: configurations, and sessions that lead to its page."""

from __future__ import annotations

from typing import Any

from . import amounts, changes, customers, forms, lists, subscriptions
from .errors import StripeError
from .forms import Params
from .store import Object, Store

_FEATURES = (
    "customer_update invoice_history payment_method_update subscription_cancel subscription_update"
)


def create_configuration(store: Store, params: Params) -> Object:
    """``POST /v1/billing_portal/configurations``; the first one is the default."""
    forms.require(params, "features")
    return store.add(
        "portal_configurations",
        {
            "id": store.new_id("bpc"),
            "object": "billing_portal.configuration",
            "active": True,
            "application": None,
            "business_profile": forms.mapping(params, "business_profile")
            or {"headline": None, "privacy_policy_url": None, "terms_of_service_url": None},
            "created": store.now(),
            "default_return_url": forms.text(params, "default_return_url"),
            "features": _features(forms.mapping(params, "features"), {}),
            "is_default": not store.tables["portal_configurations"],
            "livemode": False,
            "login_page": {"enabled": False, "url": None},
            "metadata": forms.metadata(params),
            "name": forms.text(params, "name"),
            "updated": store.now(),
        },
    )


def _features(told: Params, before: Object) -> Object:
    """Each feature with ``enabled`` as a boolean and what else was said of it."""
    features = {}
    for name in _FEATURES.split():
        feature = {"enabled": False, **before.get(name, {}), **_typed(forms.mapping(told, name))}
        if name == "subscription_cancel":
            feature.setdefault("mode", "at_period_end")
            feature.setdefault("proration_behavior", "none")
        if name == "subscription_update":
            feature.setdefault("default_allowed_updates", [])
            feature.setdefault("products", None)
            feature.setdefault("proration_behavior", "none")
            feature.setdefault("schedule_at_period_end", {"conditions": []})
        features[name] = feature
    return features


def _typed(value: Any) -> Any:
    """Booleans as booleans, all the way down."""
    if isinstance(value, dict):
        return {name: _typed(v) for name, v in value.items()}
    if isinstance(value, list):
        return [_typed(v) for v in value]
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


def update_configuration(store: Store, params: Params, id: str) -> Object:
    found = store.get("portal_configurations", id)
    if "features" in params:
        found["features"] = _features(forms.mapping(params, "features"), found["features"])
    if "active" in params:
        found["active"] = forms.boolean(params, "active")
    if "default_return_url" in params:
        found["default_return_url"] = forms.text(params, "default_return_url")
    if "business_profile" in params:
        found["business_profile"] |= forms.mapping(params, "business_profile")
    found["metadata"] = forms.metadata(params, found["metadata"])
    found["updated"] = store.now()
    return found


def list_configurations(store: Store, params: Params) -> Object:
    filters = ("active", "is_default")
    url = "/v1/billing_portal/configurations"
    return lists.answer(store, "portal_configurations", params, url=url, filters=filters)


def create_session(store: Store, params: Params) -> Object:
    """``POST /v1/billing_portal/sessions``. StripeError while there is no configuration."""
    forms.require(params, "customer")
    customer = customers.get(store, params["customer"])
    configuration = forms.text(params, "configuration")
    if configuration:
        found = store.get("portal_configurations", configuration, "configuration")
    else:
        found = next(store.where("portal_configurations", is_default=True), {})
        if not found:
            raise StripeError(
                "No configuration provided and your test mode default configuration has not been "
                "created. Provide a configuration or create your default by saving your customer "
                "portal settings in test mode at "
                "https://dashboard.stripe.com/test/settings/billing/portal."
            )
    return store.add(
        "portal_sessions",
        {
            "id": store.new_id("bps"),
            "object": "billing_portal.session",
            "configuration": found["id"],
            "created": store.now(),
            "customer": customer["id"],
            "customer_account": None,
            "flow": _typed(forms.mapping(params, "flow_data")) or None,
            "livemode": False,
            "locale": forms.text(params, "locale"),
            "on_behalf_of": None,
            "return_url": forms.text(params, "return_url") or found["default_return_url"],
        },
    )


def features(store: Store, session: Object) -> Object:
    """What the session's configuration offers, by name, each with ``enabled``."""
    found: Object = store.get("portal_configurations", session["configuration"])["features"]
    return found


def prices(store: Store, features: Object) -> list[Object]:
    """The active prices that a person may change to, in the configuration's order."""
    told = features["subscription_update"].get("products") or []
    found = []
    for product in told:
        for id in product.get("prices", []):
            price = store.tables["prices"].get(id)
            if price and price["active"]:
                found.append(price)
    return found


def change(store: Store, session: Object, subscription_id: str, price_id: str) -> Object:
    """Change the plan from the portal: more at once, less with the period's end.

    Raises StripeError for a price that is not offered, and the card's refusal.
    """
    offered = features(store, session)
    if price_id not in [price["id"] for price in prices(store, offered)]:
        raise StripeError("This plan is not offered here.", param="price")
    subscription = subscriptions.get_live(store, subscription_id)
    item = subscriptions.items(store, subscription)[0]
    old, new = store.get("prices", item["price"]), store.get("prices", price_id)
    if _a_year(new) * item["quantity"] < _a_year(old) * item["quantity"]:
        return changes.update_plan_later(store, subscription_id, price_id)
    behavior = offered["subscription_update"]["proration_behavior"]
    return changes.update_plan(store, subscription_id, price_id, proration=behavior)


_A_YEAR = {"day": 365, "week": 52, "month": 12, "year": 1}


def _a_year(price: Object) -> int:
    """About what a price costs a year, to tell more from less."""
    each = price["recurring"]
    return amounts.of_price(price, 1) * _A_YEAR[each["interval"]] // each["interval_count"]
