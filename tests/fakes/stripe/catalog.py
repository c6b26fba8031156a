"""Products with their features, and prices."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from . import events, forms, lists
from .errors import StripeError
from .forms import Params
from .store import Object, Store

_INTERVALS = ("day", "week", "month", "year")


def create_product(store: Store, params: Params) -> Object:
    """``POST /v1/products``, with ``default_price_data`` if wanted."""
    forms.require(params, "name")
    id = forms.text(params, "id") or store.new_id("prod", 14)
    if id in store.tables["products"]:
        raise StripeError("Product already exists.", code="resource_already_exists", param="id")
    product = store.add(
        "products",
        {
            "id": id,
            "object": "product",
            "active": forms.boolean(params, "active", True),
            "attributes": [],
            "created": store.now(),
            "default_price": None,
            "description": forms.text(params, "description"),
            "images": forms.sequence(params, "images"),
            "livemode": False,
            "marketing_features": forms.sequence(params, "marketing_features"),
            "metadata": forms.metadata(params),
            "name": forms.text(params, "name"),
            "package_dimensions": None,
            "shippable": None,
            "statement_descriptor": forms.text(params, "statement_descriptor"),
            "tax_code": forms.text(params, "tax_code"),
            "type": "service",
            "unit_label": forms.text(params, "unit_label"),
            "updated": store.now(),
            "url": forms.text(params, "url"),
        },
    )
    events.emit(store, "product.created", product)
    if data := forms.mapping(params, "default_price_data"):
        price = create_price(store, {**data, "product": id})
        product["default_price"] = price["id"]
        events.emit(store, "product.updated", product, {"default_price": None})
    return product


def update_product(store: Store, params: Params, id: str) -> Object:
    """``POST /v1/products/<id>``."""
    product = store.get("products", id)
    before = dict(product)
    for name in ("name", "description", "statement_descriptor", "tax_code", "unit_label", "url"):
        if name in params:
            product[name] = forms.text(params, name)
    if "active" in params:
        product["active"] = forms.boolean(params, "active")
    if "default_price" in params:
        price = store.get("prices", params["default_price"], "default_price")
        product["default_price"] = price["id"]
    for name in ("images", "marketing_features"):
        if name in params:
            product[name] = forms.sequence(params, name)
    product["metadata"] = forms.metadata(params, product["metadata"])
    if previous := events.changed(before, product):
        product["updated"] = store.now()
        events.emit(store, "product.updated", product, previous)
    return product


def delete_product(store: Store, params: Params, id: str) -> Object:
    product = store.get("products", id)
    if any(store.where("prices", product=id)):
        raise StripeError(
            "This product cannot be deleted because it has one or more user-created prices."
        )
    store.remove("products", id)
    events.emit(store, "product.deleted", product)
    return {"id": id, "object": "product", "deleted": True}


def list_products(store: Store, params: Params) -> Object:
    ids = forms.sequence(params, "ids")
    return lists.answer(
        store,
        "products",
        params,
        url="/v1/products",
        filters=("active", "url"),
        where=lambda product: not ids or product["id"] in ids,
    )


def create_price(store: Store, params: Params) -> Object:
    """``POST /v1/prices``: per unit or tiered, once or recurring, with ``product_data``."""
    currency = forms.currency(params)
    scheme = forms.choice(params, "billing_scheme", ("per_unit", "tiered"), "per_unit")
    if data := forms.mapping(params, "product_data"):
        product = create_product(store, data)
    else:
        forms.require(params, "product")
        product = store.get("products", params["product"], "product")
    if scheme == "per_unit" and not {"unit_amount", "unit_amount_decimal"} & set(params):
        raise StripeError(
            "You must specify either `unit_amount`, `unit_amount_decimal`, or "
            "`custom_unit_amount` when `billing_scheme` is `per_unit`."
        )
    whole, exact = _unit(params)
    recurring = _recurring(forms.mapping(params, "recurring"))
    lookup_key = _lookup_key(store, params)
    transform = forms.mapping(params, "transform_quantity")
    price = store.add(
        "prices",
        {
            "id": store.new_id("price"),
            "object": "price",
            "active": forms.boolean(params, "active", True),
            "billing_scheme": scheme,
            "created": store.now(),
            "currency": currency,
            "custom_unit_amount": None,
            "livemode": False,
            "lookup_key": lookup_key,
            "metadata": forms.metadata(params),
            "nickname": forms.text(params, "nickname"),
            "product": product["id"],
            "recurring": recurring,
            "tax_behavior": forms.text(params, "tax_behavior", "unspecified"),
            "tiers": [_tier(tier) for tier in forms.sequence(params, "tiers")] or None,
            "tiers_mode": forms.text(params, "tiers_mode"),
            "transform_quantity": {
                "divide_by": forms.integer(transform, "divide_by"),
                "round": transform.get("round"),
            }
            if transform
            else None,
            "type": "recurring" if recurring else "one_time",
            "unit_amount": whole,
            "unit_amount_decimal": exact,
        },
    )
    events.emit(store, "price.created", price)
    return price


def _unit(params: Params) -> tuple[int | None, str | None]:
    """A price of whole minor units, and exactly, as a decimal string."""
    whole = forms.integer(params, "unit_amount", at_least=0)
    if whole is not None:
        return whole, str(whole)
    told = forms.text(params, "unit_amount_decimal")
    if told is None:
        return None, None
    try:
        exact = Decimal(told)
    except InvalidOperation:
        raise StripeError(f"Invalid decimal: {told}", param="unit_amount_decimal") from None
    if not exact.is_finite() or exact < 0 or exact.as_tuple().exponent < -12:  # type: ignore[operator]
        raise StripeError(f"Invalid decimal: {told}", param="unit_amount_decimal")
    return (int(exact) if exact == int(exact) else None), told


def _tier(told: Params) -> Object:
    whole, exact = _unit(told)
    flat = forms.integer(told, "flat_amount", at_least=0)
    up_to = None if told.get("up_to") in (None, "", "inf") else forms.integer(told, "up_to")
    return {
        "flat_amount": flat,
        "flat_amount_decimal": None if flat is None else str(flat),
        "unit_amount": whole,
        "unit_amount_decimal": exact,
        "up_to": up_to,
    }


def _recurring(told: Params) -> Object | None:
    if not told:
        return None
    forms.require(told, "interval")
    return {
        "interval": forms.choice(told, "interval", _INTERVALS, "month"),
        "interval_count": forms.integer(told, "interval_count", 1, at_least=1),
        "meter": None,
        "trial_period_days": None,
        "usage_type": forms.choice(told, "usage_type", ("licensed",), "licensed"),
    }


def _lookup_key(store: Store, params: Params) -> str | None:
    """A lookup key belongs to one active price; it moves only when asked to."""
    key = forms.text(params, "lookup_key")
    holders = list(store.where("prices", lookup_key=key)) if key else []
    if holders and not forms.boolean(params, "transfer_lookup_key"):
        raise StripeError(
            f"A price (`{holders[0]['id']}`) already uses that lookup key.", param="lookup_key"
        )
    for holder in holders:
        holder["lookup_key"] = None
    return key


def update_price(store: Store, params: Params, id: str) -> Object:
    """``POST /v1/prices/<id>``. Amount, currency and interval of a price never change."""
    price = store.get("prices", id)
    for name in ("unit_amount", "unit_amount_decimal", "currency", "recurring", "product", "tiers"):
        if name in params:
            raise StripeError(
                f"Received unknown parameter: {name}", param=name, code="parameter_unknown"
            )
    before = dict(price)
    if "active" in params:
        price["active"] = forms.boolean(params, "active")
    if "nickname" in params:
        price["nickname"] = forms.text(params, "nickname")
    if "lookup_key" in params and params["lookup_key"] != price["lookup_key"]:
        price["lookup_key"] = _lookup_key(store, params)
    if "tax_behavior" in params:
        price["tax_behavior"] = forms.text(params, "tax_behavior")
    price["metadata"] = forms.metadata(params, price["metadata"])
    if previous := events.changed(before, price):
        events.emit(store, "price.updated", price, previous)
    return price


def list_prices(store: Store, params: Params) -> Object:
    keys, recurring = forms.sequence(params, "lookup_keys"), forms.mapping(params, "recurring")

    def wanted(price: Object) -> bool:
        each = price["recurring"] or {}
        return (not keys or price["lookup_key"] in keys) and all(
            each.get(name) == value for name, value in recurring.items()
        )

    filters = ("active", "currency", "product", "type")
    return lists.answer(store, "prices", params, url="/v1/prices", filters=filters, where=wanted)


def price_of(store: Store, item: Params, param: str) -> Object:
    """The price that a line names, or one made from its ``price_data``."""
    if data := forms.mapping(item, "price_data"):
        price = create_price(store, {**data, "active": "false"})
        price["_hidden"] = True
        return price
    id: Any = item.get("price")
    if not id:
        raise StripeError(
            f"Missing required param: {param}[price].",
            param=f"{param}[price]",
            code="parameter_missing",
        )
    price = store.get("prices", id, f"{param}[price]")
    if not price["active"]:
        raise StripeError(
            "The price specified is inactive. This field only accepts active prices.",
            param=f"{param}[price]",
        )
    return price
