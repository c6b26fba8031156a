"""Customers and their default card."""

from __future__ import annotations

from . import cards, events, forms, lists
from .errors import StripeError, missing_object
from .forms import Params
from .store import Object, Store

_PLAIN = ("name", "email", "phone", "description")


def create(store: Store, params: Params) -> Object:
    """``POST /v1/customers``."""
    customer = store.add(
        "customers",
        {
            "id": store.new_id("cus", 14),
            "object": "customer",
            "address": forms.mapping(params, "address") or None,
            "balance": forms.integer(params, "balance", 0),
            "business_name": None,
            "created": store.now(),
            "currency": None,
            "customer_account": None,
            "default_source": None,
            "delinquent": False,
            "discount": None,
            "individual_name": None,
            "invoice_prefix": store.new_id("x", 8)[2:].upper(),
            "invoice_settings": {
                "custom_fields": None,
                "default_payment_method": None,
                "footer": None,
                "rendering_options": None,
            },
            "livemode": False,
            "metadata": forms.metadata(params),
            "next_invoice_sequence": 1,
            "preferred_locales": forms.sequence(params, "preferred_locales"),
            "shipping": forms.mapping(params, "shipping") or None,
            "tax_exempt": forms.text(params, "tax_exempt", "none"),
            "test_clock": None,
            **{name: forms.text(params, name) for name in _PLAIN},
        },
    )
    events.emit(store, "customer.created", customer)
    if method := forms.text(params, "payment_method"):
        cards.attach(store, cards.find(store, method), customer)
    _set_default(store, customer, params)
    return customer


def get(store: Store, id: str, param: str = "customer") -> Object:
    """A customer that still is one; StripeError for a deleted one as for an unknown."""
    customer = store.get("customers", id, param)
    if customer.get("deleted"):
        raise missing_object("customer", id, param)
    return customer


def retrieve(store: Store, params: Params, id: str) -> Object:
    """Of a deleted customer only that it was deleted."""
    return store.get("customers", id)


def update(store: Store, params: Params, id: str) -> Object:
    """``POST /v1/customers/<id>``."""
    customer = get(store, id, "id")
    before = _copy(customer)
    for name in _PLAIN:
        if name in params:
            customer[name] = forms.text(params, name)
    for name in ("address", "shipping"):
        if name in params:
            customer[name] = forms.mapping(params, name) or None
    if "balance" in params:
        customer["balance"] = forms.integer(params, "balance", 0)
    customer["metadata"] = forms.metadata(params, customer["metadata"])
    _set_default(store, customer, params)
    _emit_update(store, before, customer)
    return customer


def _set_default(store: Store, customer: Object, params: Params) -> None:
    settings = forms.mapping(params, "invoice_settings")
    if "default_payment_method" not in settings:
        return
    id = forms.text(settings, "default_payment_method")
    if id:
        method = store.get("payment_methods", id, "invoice_settings[default_payment_method]")
        if method["customer"] != customer["id"]:
            raise StripeError(
                f"The customer does not have a payment method with the ID {id}. The payment "
                "method must be attached to the customer.",
                param="invoice_settings[default_payment_method]",
            )
    customer["invoice_settings"]["default_payment_method"] = id


def _copy(customer: Object) -> Object:
    return {**customer, "invoice_settings": dict(customer["invoice_settings"])}


def _emit_update(store: Store, before: Object, customer: Object) -> None:
    previous = events.changed(before, customer)
    if previous:
        events.emit(store, "customer.updated", customer, previous)


def set_card(store: Store, customer_id: str, card: str) -> Object:
    """Attach a card by its number and make it the default everywhere. What the portal does.

    Returns the payment method. Raises StripeError for a card that declines when it is attached.
    """
    customer = get(store, customer_id)
    method = cards.attach(store, cards.make(store, card), customer)
    make_default(store, customer, method)
    for subscription in store.where("subscriptions", customer=customer_id):
        if subscription["default_payment_method"] and not subscription["ended_at"]:
            before = subscription["default_payment_method"]
            subscription["default_payment_method"] = method["id"]
            events.emit(
                store,
                "customer.subscription.updated",
                subscription,
                {"default_payment_method": before},
            )
    return method


def make_default(store: Store, customer: Object, method: Object) -> None:
    """The customer's invoices are paid by this from now on."""
    before = _copy(customer)
    customer["invoice_settings"]["default_payment_method"] = method["id"]
    _emit_update(store, before, customer)


def default_method(store: Store, customer: Object) -> Object | None:
    """What the customer's invoices are paid with, if anything."""
    id = customer["invoice_settings"]["default_payment_method"]
    return store.tables["payment_methods"].get(id) if id else None


def list_balance(store: Store, params: Params, customer: str) -> Object:
    """``GET /v1/customers/<id>/balance_transactions``."""
    return lists.answer(
        store,
        "customer_balance_transactions",
        params,
        url=f"/v1/customers/{customer}/balance_transactions",
        where=lambda moved: moved["customer"] == customer,
    )


def list_customers(store: Store, params: Params) -> Object:
    return lists.answer(
        store,
        "customers",
        params,
        url="/v1/customers",
        filters=("email",),
        where=lambda customer: not customer.get("deleted"),
    )
