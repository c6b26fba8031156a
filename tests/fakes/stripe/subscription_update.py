"""``POST /v1/subscriptions/<id>`` and ``POST /v1/subscription_items/<id>``."""

from __future__ import annotations

from . import (
    catalog,
    changes,
    coupons,
    customers,
    forms,
    renewals,
    subscription_lines,
    subscriptions,
)
from .errors import StripeError
from .forms import Params
from .rollback import undone_if_refused
from .store import Object, Store
from .subscription_api import PAYMENT, cancellation_words, chosen_method, settings


def update(store: Store, params: Params, id: str) -> Object:
    """``POST /v1/subscriptions/<id>``; refused, it changes nothing where that was asked for."""
    if params.get("payment_behavior") in ("error_if_incomplete", "pending_if_incomplete"):
        with undone_if_refused(store):
            return _update(store, params, id)
    return _update(store, params, id)


def _update(store: Store, params: Params, id: str) -> Object:
    subscription = subscriptions.get_live(store, id)
    behavior = forms.choice(params, "proration_behavior", changes.BEHAVIORS, "create_prorations")
    payment = forms.choice(params, "payment_behavior", PAYMENT, "allow_incomplete")
    if payment == "pending_if_incomplete":
        payment = "error_if_incomplete"  # either way nothing changes until it is paid
    wanted = _wanted(store, params, subscription)
    _update_fields(store, params, subscription)
    if "trial_end" in params:
        _end_trial(store, params, subscription)
    reset = params.get("billing_cycle_anchor") == "now"
    if wanted or reset:
        changes.apply(
            store,
            subscription,
            wanted,
            behavior=behavior,
            payment=payment,
            at=forms.integer(params, "proration_date"),
            reset=reset,
        )
    return store.get("subscriptions", id)


def _wanted(store: Store, params: Params, subscription: Object) -> list[changes.Change]:
    present = {item["id"]: item for item in subscriptions.items(store, subscription)}
    wanted = []
    for index, told in enumerate(forms.sequence(params, "items")):
        param = f"items[{index}]"
        item = None
        if item_id := forms.text(told, "id"):
            if item_id not in present:
                raise StripeError(
                    f"Invalid {param}[id]: {item_id} is not an item of this subscription.",
                    param=f"{param}[id]",
                )
            item = present[item_id]
        if forms.boolean(told, "deleted"):
            wanted.append(changes.Change(item, None))
            continue
        if item is None or "price" in told or "price_data" in told:
            price = catalog.price_of(store, told, param)
        else:
            price = store.get("prices", item["price"])
        if price["recurring"] is None:
            raise StripeError("This field only accepts prices with `type=recurring`.", param=param)
        known = 1 if item is None else item["quantity"]
        quantity = forms.integer(told, "quantity", known, at_least=0) or 0
        if item is None or (item["price"], item["quantity"]) != (price["id"], quantity):
            wanted.append(changes.Change(item, price, quantity))
    return wanted


def _update_fields(store: Store, params: Params, subscription: Object) -> None:
    """Everything but items and trial, announced as one update."""
    fields: Object = settings(store, params)
    if "metadata" in params:
        fields["metadata"] = forms.metadata(params, subscription["metadata"])
    if "description" in params:
        fields["description"] = forms.text(params, "description")
    if "default_payment_method" in params:
        customer = customers.get(store, subscription["customer"])
        method = chosen_method(store, params, customer)
        fields["default_payment_method"] = method["id"] if method else None
    if "pause_collection" in params:
        fields["pause_collection"] = _pause(params)
    if "discounts" in params:
        chosen = coupons.from_params(store, params, subscription["customer"], 0)
        fields["discounts"] = [
            subscription_lines.add_discount(store, subscription, one)["id"] for one in chosen
        ]
    fields |= _cancellation(store, params, subscription)
    subscriptions.set_status(store, subscription, subscription["status"], **fields)


def _pause(params: Params) -> Object | None:
    told = forms.mapping(params, "pause_collection")
    if not told:
        return None
    forms.require(told, "behavior")
    allowed = ("keep_as_draft", "mark_uncollectible", "void")
    return {
        "behavior": forms.choice(told, "behavior", allowed, "void"),
        "resumes_at": forms.integer(told, "resumes_at"),
    }


def _cancellation(store: Store, params: Params, subscription: Object) -> Object:
    told = forms.mapping(params, "cancellation_details")
    details = {**subscription["cancellation_details"], **cancellation_words(told)}
    fields: Object = {"cancellation_details": details} if told else {}
    if "cancel_at_period_end" in params:
        if forms.boolean(params, "cancel_at_period_end"):
            fields |= {
                "cancel_at_period_end": True,
                "cancel_at": subscriptions.period(store, subscription)[1],
                "canceled_at": subscription["canceled_at"] or store.now(),
                "cancellation_details": {**details, "reason": "cancellation_requested"},
            }
        else:
            fields |= subscriptions.uncanceled(subscription)
    elif "cancel_at" in params:
        at = forms.integer(params, "cancel_at")
        fields |= {"cancel_at": at, "canceled_at": store.now() if at else None}
    return fields


def _end_trial(store: Store, params: Params, subscription: Object) -> None:
    """``trial_end``: now, which bills at once, or another instant."""
    if params["trial_end"] == "now":
        if subscription["status"] != "trialing":
            return
        for item in subscriptions.items(store, subscription):
            item["current_period_end"] = store.now()
        subscription["trial_end"] = subscription["billing_cycle_anchor"] = store.now()
        renewals.renew(store, subscription)
        return
    end = forms.integer(params, "trial_end")
    if end is None or end <= store.now():
        raise StripeError("Invalid timestamp: must be in the future.", param="trial_end")
    for item in subscriptions.items(store, subscription):
        item["current_period_end"] = end
    subscription.pop("_warned", None)
    more = {"trial_start": subscription["trial_start"] or store.now(), "billing_cycle_anchor": end}
    subscriptions.set_status(store, subscription, "trialing", trial_end=end, **more)


def update_item(store: Store, params: Params, id: str) -> Object:
    """``POST /v1/subscription_items/<id>``."""
    item = store.get("subscription_items", id)
    told = {name: params[name] for name in ("price", "quantity", "price_data") if name in params}
    rest = ("proration_behavior", "payment_behavior", "proration_date")
    more = {name: params[name] for name in rest if name in params}
    update(store, {"items": [{"id": id, **told}], **more}, item["subscription"])
    item["metadata"] = forms.metadata(params, item["metadata"])
    return store.get("subscription_items", id)
