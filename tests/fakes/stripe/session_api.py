"""``/v1/checkout/sessions``."""

from __future__ import annotations

from . import catalog, coupons, customers, forms, lists, sessions
from .errors import StripeError
from .forms import Params
from .lines import of_session
from .render import render
from .store import Object, Store

_SOONEST, _LATEST = 30 * 60, 24 * 3600  # seconds in which a session may expire


def create(store: Store, params: Params) -> Object:
    """``POST /v1/checkout/sessions`` in mode ``payment`` or ``subscription``."""
    mode = _check(params)
    customer = forms.text(params, "customer")
    if customer:
        customers.get(store, customer)
    items = _line_items(store, params, mode)
    currency = items[0]["currency"]
    if any(item["currency"] != currency for item in items):
        raise StripeError(
            "All prices on a Checkout Session must use the same currency.", param="line_items"
        )
    before = sum(item["amount_subtotal"] for item in items)
    chosen = coupons.from_params(store, params, customer, before)
    expires_at = _expires_at(store, params)
    session = {
        **_blank(store, params, mode),
        "automatic_tax": _automatic_tax(params),
        "currency": currency,
        "customer": customer,
        "expires_at": expires_at,
        "_line_items": items,
        "_discount": chosen[0] if chosen else None,
    }
    sessions.sums(store, session)
    if 0 < session["amount_total"] < 50:
        raise StripeError(
            "The Checkout Session's total amount due must add up to at least $0.50 usd",
            code="amount_too_small",
        )
    if session["amount_total"] > 99_999_999:
        raise StripeError(
            "The Checkout Session's total amount must be no more than $999,999.99",
            code="amount_too_large",
        )
    return store.add("sessions", session)


def _check(params: Params) -> str:
    forms.require(params, "mode", "line_items")
    mode = forms.choice(params, "mode", ("payment", "subscription"), "payment")
    if forms.text(params, "ui_mode", "hosted_page") in ("hosted", "hosted_page"):
        forms.require(params, "success_url")
    if "customer" in params and "customer_email" in params:
        raise StripeError(
            "You may only specify one of these parameters: customer, customer_email.",
            param="customer_email",
        )
    if "customer" in params and "customer_creation" in params:
        raise StripeError(
            "You may only specify one of these parameters: customer, customer_creation.",
            param="customer_creation",
        )
    if "discounts" in params and "allow_promotion_codes" in params:
        raise StripeError(
            "You may only specify one of these parameters: allow_promotion_codes, discounts."
        )
    other = "subscription_data" if mode == "payment" else "payment_intent_data"
    if forms.mapping(params, other):
        raise StripeError(f"You can not pass `{other}` in `{mode}` mode.", param=other)
    if mode == "subscription" and ("customer_creation" in params or "invoice_creation" in params):
        raise StripeError(
            "`customer_creation` and `invoice_creation` can only be used in `payment` mode."
        )
    return mode


def _line_items(store: Store, params: Params, mode: str) -> list[Object]:
    items = []
    for index, told in enumerate(forms.sequence(params, "line_items")):
        param = f"line_items[{index}]"
        if "quantity" not in told:
            raise StripeError(
                f"Quantity is required. Add `quantity` to `{param}`", param=f"{param}[quantity]"
            )
        quantity = forms.integer(told, "quantity", at_least=1) or 1
        price = catalog.price_of(store, told, param)
        if price["recurring"] and mode == "payment":
            raise StripeError(
                "You specified `payment` mode but passed a recurring price. Either switch to "
                "`subscription` mode or use only one-time prices.",
                param=param,
            )
        items.append(of_session(store, price, quantity))
        items[-1]["adjustable_quantity"] = forms.mapping(told, "adjustable_quantity") or None
    if mode == "subscription" and not any(sessions.is_recurring(store, item) for item in items):
        raise StripeError(
            "You must provide at least one recurring price in `subscription` mode "
            "when using prices.",
            param="line_items",
        )
    return items


def _expires_at(store: Store, params: Params) -> int:
    told = forms.integer(params, "expires_at")
    if told is None:
        return store.now() + _LATEST
    # Stripe's own clock and the caller's may differ by some seconds.
    if not store.now() + _SOONEST - 60 <= told <= store.now() + _LATEST + 60:
        raise StripeError(
            "The `expires_at` timestamp must be at least 30 minutes and at most 24 hours from "
            "Checkout Session creation.",
            param="expires_at",
        )
    return told


def _automatic_tax(params: Params) -> Object:
    enabled = forms.boolean(forms.mapping(params, "automatic_tax"), "enabled")
    liability = {"type": "self"} if enabled else None
    return {"enabled": enabled, "liability": liability, "provider": None, "status": None}


def _blank(store: Store, params: Params, mode: str) -> Object:
    nothing = (
        "adaptive_pricing after_expiration billing_address_collection client_secret "
        "collected_information consent consent_collection currency_conversion custom_text "
        "customer_account customer_details invoice locale payment_intent payment_link "
        "payment_method_configuration_details permissions phone_number_collection recovered_from "
        "saved_payment_method_options setup_intent shipping_address_collection shipping_cost "
        "subscription submit_type tax_id_collection wallet_options"
    )
    told = {name: params[name] for name in nothing.split() if params.get(name) not in (None, "")}
    paying = mode == "payment"
    creation = forms.mapping(params, "invoice_creation")
    guest = "if_required" if paying and "customer" not in params else None
    return {
        "id": store.new_id("cs_test", 58),
        "object": "checkout.session",
        **dict.fromkeys(nothing.split()),
        **told,
        "allow_promotion_codes": forms.boolean(params, "allow_promotion_codes") or None,
        "cancel_url": forms.text(params, "cancel_url"),
        "client_reference_id": forms.text(params, "client_reference_id"),
        "created": store.now(),
        "custom_fields": [],
        "customer_creation": forms.text(params, "customer_creation", guest),
        "customer_email": forms.text(params, "customer_email"),
        "invoice_creation": {"enabled": forms.boolean(creation, "enabled"), "invoice_data": {}},
        "livemode": False,
        "metadata": forms.metadata(params),
        "mode": mode,
        "payment_method_collection": forms.text(params, "payment_method_collection", "always"),
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": forms.sequence(params, "payment_method_types") or ["card"],
        "payment_status": "unpaid",
        "shipping_options": [],
        "status": "open",
        "success_url": forms.text(params, "success_url"),
        "ui_mode": "hosted_page",
        "_payment_intent_data": forms.mapping(params, "payment_intent_data"),
        "_subscription_data": _subscription_data(store, params),
    }


def _subscription_data(store: Store, params: Params) -> Params:
    data = forms.mapping(params, "subscription_data")
    forms.integer(data, "trial_period_days", at_least=1)
    end = forms.integer(data, "trial_end")
    if end is not None and end < store.now() + 2 * sessions.DAY:
        raise StripeError(
            "The `trial_end` date has to be at least 2 days in the future.",
            param="subscription_data[trial_end]",
        )
    return data


def update(store: Store, params: Params, id: str) -> Object:
    session = store.get("sessions", id, "id")
    session["metadata"] = forms.metadata(params, session["metadata"])
    return session


def expire(store: Store, params: Params, id: str) -> Object:
    return sessions.expire(store, id)


def line_items(store: Store, params: Params, id: str) -> Object:
    """``GET /v1/checkout/sessions/<id>/line_items``."""
    session = store.get("sessions", id)
    return lists.cut(
        session["_line_items"],
        params,
        url=f"/v1/checkout/sessions/{id}/line_items",
        kind="item",
        show=lambda item: render(store, item),
    )


def list_sessions(store: Store, params: Params) -> Object:
    intent = forms.text(params, "payment_intent")
    email = forms.text(forms.mapping(params, "customer_details"), "email")
    return lists.answer(
        store,
        "sessions",
        params,
        url="/v1/checkout/sessions",
        filters=("customer", "status", "subscription"),
        where=lambda s: (
            intent in (None, s["payment_intent"])
            and email in (None, (s["customer_details"] or {}).get("email"))
        ),
    )
