"""``/v1/subscriptions`` and ``/v1/subscription_items``."""

from __future__ import annotations

from . import (
    cards,
    catalog,
    changes,
    coupons,
    customers,
    events,
    forms,
    lists,
    proration,
    renewals,
    subscriptions,
)
from .errors import StripeError, unexpected_state
from .forms import Params
from .rollback import undone_if_refused
from .store import Object, Store

PAYMENT = (
    "allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete",
)  # fmt: skip


def create(store: Store, params: Params) -> Object:
    """``POST /v1/subscriptions``."""
    if params.get("payment_behavior") == "error_if_incomplete":
        with undone_if_refused(store):
            return _create(store, params)
    return _create(store, params)


def _create(store: Store, params: Params) -> Object:
    forms.require(params, "customer", "items")
    customer = customers.get(store, params["customer"])
    wanted = []
    for index, told in enumerate(forms.sequence(params, "items")):
        price = catalog.price_of(store, told, f"items[{index}]")
        if price["recurring"] is None:
            raise StripeError(
                "The price specified is set to `type=one_time` but this field only "
                "accepts prices with `type=recurring`.",
                param=f"items[{index}]",
            )
        wanted.append((price, forms.integer(told, "quantity", 1, at_least=1) or 1))
    if customer["currency"] not in (None, wanted[0][0]["currency"]):
        raise StripeError(
            "You cannot combine currencies on a single customer. This customer has "
            f"a subscription in {customer['currency']}.",
            param="items",
        )
    trial_end = _trial_end(store, params)
    method = chosen_method(store, params, customer)
    behavior = forms.choice(params, "payment_behavior", PAYMENT, "allow_incomplete")
    if not (trial_end or method or customers.default_method(store, customer)) and behavior in (
        "allow_incomplete", "error_if_incomplete",
    ) and any(price["unit_amount_decimal"] != "0" for price, _ in wanted):  # fmt: skip
        raise unexpected_state(
            "resource_missing",
            "This customer has no attached payment source or default payment method. Please "
            "consider adding a default payment method.",
        )
    chosen = coupons.from_params(store, params, customer["id"], 0)
    subscription = subscriptions.start(
        store,
        customer,
        wanted,
        discount=chosen[0] if chosen else None,
        trial_end=trial_end,
        method=method,
        payment_behavior=behavior,
        metadata=forms.metadata(params),
        description=forms.text(params, "description"),
        **settings(store, params),
    )
    if forms.boolean(params, "cancel_at_period_end"):
        subscriptions.cancel(store, subscription["id"])
    return subscription


def _trial_end(store: Store, params: Params) -> int | None:
    days = forms.integer(params, "trial_period_days", at_least=1)
    if days is not None:
        return store.now() + days * subscriptions.DAY
    if params.get("trial_end") == "now":
        return None
    end = forms.integer(params, "trial_end")
    if end is not None and end <= store.now():
        raise StripeError("Invalid timestamp: must be in the future.", param="trial_end")
    return end


def chosen_method(store: Store, params: Params, customer: Object) -> Object | None:
    """``default_payment_method``, if it is told and the customer's."""
    id = forms.text(params, "default_payment_method")
    if not id:
        return None
    method = cards.find(store, id, "default_payment_method")
    if method["customer"] != customer["id"]:
        raise StripeError(
            "The customer does not have a payment method with the ID " + id + ". The payment "
            "method must be attached to the customer.",
            param="default_payment_method",
        )
    return method


def settings(store: Store, params: Params) -> Object:
    """Settings that create and update take alike, those that were told."""
    found: Object = {}
    if "automatic_tax" in params:
        enabled = forms.boolean(forms.mapping(params, "automatic_tax"), "enabled")
        liability = {"type": "self"} if enabled else None
        found["automatic_tax"] = {
            "disabled_reason": None,
            "enabled": enabled,
            "liability": liability,
        }
    if told := forms.mapping(forms.mapping(params, "trial_settings"), "end_behavior"):
        word = forms.choice(
            told, "missing_payment_method", ("cancel", "create_invoice", "pause"), "create_invoice"
        )
        found["trial_settings"] = {"end_behavior": {"missing_payment_method": word}}
    if told := forms.mapping(params, "payment_settings"):
        found["payment_settings"] = {
            "payment_method_options": None,
            "payment_method_types": forms.sequence(told, "payment_method_types") or None,
            "save_default_payment_method": forms.text(told, "save_default_payment_method", "off"),
        }
    if "billing_cycle_anchor" in params and params["billing_cycle_anchor"] not in (
        "now",
        "unchanged",
    ):
        found["billing_cycle_anchor"] = forms.integer(params, "billing_cycle_anchor")
    return found


def cancellation_words(told: Params) -> Object:
    """What the customer said of it."""
    return {name: forms.text(told, name) for name in ("comment", "feedback") if name in told}


def cancel(store: Store, params: Params, id: str) -> Object:
    """``DELETE /v1/subscriptions/<id>``: over now, with ``prorate`` and ``invoice_now``."""
    subscription = subscriptions.get_live(store, id)
    if forms.boolean(params, "prorate") and subscription["status"] != "trialing":
        for item in subscriptions.items(store, subscription):
            proration.credit(store, subscription, item, store.now())
    details = {**subscription["cancellation_details"], "reason": "cancellation_requested"}
    details |= cancellation_words(forms.mapping(params, "cancellation_details"))
    subscription["cancellation_details"] = details
    subscriptions.end(store, subscription)
    if forms.boolean(params, "invoice_now"):
        changes.invoice_pending(store, subscription)
    return subscription


def resume(store: Store, params: Params, id: str) -> Object:
    """``POST /v1/subscriptions/<id>/resume`` of a paused one: a new period, billed now."""
    subscription = subscriptions.get_live(store, id)
    if subscription["status"] != "paused":
        raise unexpected_state("subscription_not_paused", "This subscription is not paused.")
    renewals.begin(store, subscription, anchor=store.now())
    subscriptions.set_status(store, subscription, "active")
    events.emit(store, "customer.subscription.resumed", subscription)
    renewals.bill(store, subscription, "subscription_cycle")
    return subscription


def list_subscriptions(store: Store, params: Params) -> Object:
    """``GET /v1/subscriptions``: without ``status``, all that have not ended."""
    status, price = forms.text(params, "status"), forms.text(params, "price")

    def wanted(subscription: Object) -> bool:
        has = subscription["status"]
        fits = {
            None: has not in subscriptions.ENDED,
            "all": True,
            "ended": has in subscriptions.ENDED,
        }
        if not fits.get(status, has == status):
            return False
        items = subscriptions.items(store, subscription)
        return price is None or any(item["price"] == price for item in items)

    url = "/v1/subscriptions"
    return lists.answer(
        store, "subscriptions", params, url=url, filters=("customer",), where=wanted
    )


def list_items(store: Store, params: Params) -> Object:
    forms.require(params, "subscription")
    url = "/v1/subscription_items"
    return lists.answer(store, "subscription_items", params, url=url, filters=("subscription",))
