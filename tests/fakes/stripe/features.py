"""Features of products: ``/v1/entitlements/features`` and ``/v1/products/<id>/features``."""

from __future__ import annotations

from . import forms, lists
from .forms import Params
from .render import page, render
from .store import Object, Store


def create_feature(store: Store, params: Params) -> Object:
    """``POST /v1/entitlements/features``."""
    forms.require(params, "lookup_key", "name")
    return store.add(
        "features",
        {
            "id": store.new_id("feat"),
            "object": "entitlements.feature",
            "active": True,
            "created": store.now(),
            "livemode": False,
            "lookup_key": params["lookup_key"],
            "metadata": forms.metadata(params),
            "name": params["name"],
        },
    )


def list_features(store: Store, params: Params) -> Object:
    return lists.answer(
        store, "features", params, url="/v1/entitlements/features", filters=("lookup_key",)
    )


def attach_feature(store: Store, params: Params, id: str) -> Object:
    """``POST /v1/products/<id>/features``."""
    store.get("products", id)
    forms.require(params, "entitlement_feature")
    feature = store.get("features", params["entitlement_feature"], "entitlement_feature")
    return store.add(
        "product_features",
        {
            "id": store.new_id("prodft"),
            "object": "product_feature",
            "created": store.now(),
            "entitlement_feature": feature,
            "livemode": False,
            "_product": id,
        },
    )


def product_features(store: Store, params: Params, id: str) -> Object:
    store.get("products", id)
    found = [render(store, one) for one in store.where("product_features", _product=id)]
    return page(found, f"/v1/products/{id}/features")
