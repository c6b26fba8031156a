"""Objects as the API shows them: without the fake's own fields, with ``expand`` done."""

from __future__ import annotations

from typing import Any

from .errors import StripeError
from .store import Object, Store

_DEPTH = 4


def page(data: list[Object], url: str, *, has_more: bool = False) -> Object:
    """A list object."""
    return {"object": "list", "data": data, "has_more": has_more, "url": url}


def render(store: Store, object: Object) -> Object:
    """A copy that may leave: embedded objects in, private fields out, addresses whole."""
    shown = _public(object)
    embed = _EMBED.get(shown.get("object", ""))
    if embed:
        embed(store, object, shown)
    return shown


def _public(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _public(v) for name, v in value.items() if not name.startswith("_")}
    if isinstance(value, list):
        return [_public(v) for v in value]
    return value


def _embed_subscription(store: Store, object: Object, shown: Object) -> None:
    items = [
        render(store, item) for item in store.where("subscription_items", subscription=object["id"])
    ]
    shown["items"] = page(items, f"/v1/subscription_items?subscription={object['id']}")
    shown["items"]["total_count"] = len(items)


def _embed_price(store: Store, object: Object, shown: Object) -> None:
    price = (
        store.tables["prices"].get(object["price"])
        if isinstance(object.get("price"), str)
        else None
    )
    if price is not None:
        shown["price"] = render(store, price)
        if shown["object"] == "subscription_item":
            shown["plan"] = None


def _embed_price_hidden(store: Store, object: Object, shown: Object) -> None:
    """Tiers and other currencies are shown only when asked for."""
    shown.pop("tiers", None)
    shown.pop("currency_options", None)


def _embed_session(store: Store, object: Object, shown: Object) -> None:
    shown["url"] = f"{store.base_url}/c/pay/{object['id']}" if object["status"] == "open" else None


def _embed_invoice(store: Store, object: Object, shown: Object) -> None:
    lines = [render(store, line) for line in object["_lines"]]
    shown["lines"] = page(
        lines[:10], f"/v1/invoices/{object['id']}/lines", has_more=len(lines) > 10
    )
    shown["lines"]["total_count"] = len(lines)
    if object["status"] != "draft":
        shown["hosted_invoice_url"] = f"{store.base_url}/i/{object['id']}"
        shown["invoice_pdf"] = f"{store.base_url}/i/{object['id']}/pdf"


def _embed_portal(store: Store, object: Object, shown: Object) -> None:
    shown["url"] = f"{store.base_url}/p/session/{object['id']}"


def _embed_intent(store: Store, object: Object, shown: Object) -> None:
    action = shown.get("next_action")
    if action and action["type"] == "redirect_to_url":
        action["redirect_to_url"]["url"] = f"{store.base_url}/authenticate/{object['id']}"
    error = shown.get("last_payment_error")
    if error and isinstance(error.get("payment_method"), str):
        method = store.find(error["payment_method"])
        error["payment_method"] = _public(method) if method else None


def _embed_charge(store: Store, object: Object, shown: Object) -> None:
    shown["receipt_url"] = f"{store.base_url}/receipt/{object['id']}" if object["paid"] else None


_EMBED = {
    "subscription": _embed_subscription,
    "subscription_item": _embed_price,
    "item": _embed_price,
    "price": _embed_price_hidden,
    "checkout.session": _embed_session,
    "invoice": _embed_invoice,
    "billing_portal.session": _embed_portal,
    "payment_intent": _embed_intent,
    "charge": _embed_charge,
}


def expand(store: Store, shown: Object, paths: list[Any]) -> Object:
    """Fill in, in place, what ``expand[]`` names; StripeError for what can't be."""
    for path in paths:
        parts = str(path).split(".")
        if len(parts) > _DEPTH:
            raise StripeError(
                f"You cannot expand more than {_DEPTH} levels of a property. Property: {path}",
                param="expand",
            )
        _expand(store, shown, parts, str(path))
    return shown


def _expand(store: Store, node: Any, parts: list[str], path: str) -> None:
    if isinstance(node, list):
        for one in node:
            _expand(store, one, parts, path)
        return
    if not isinstance(node, dict) or node.get("deleted") or not parts:
        return
    name, rest = parts[0], parts[1:]
    if name not in node or node[name] is None:
        include = _INCLUDE.get((node.get("object", ""), name))
        if include:
            node[name] = include(store, node)
        elif name not in node:
            raise StripeError(f"This property cannot be expanded ({path}).", param="expand")
    value = node[name]
    if isinstance(value, str):
        node[name] = _by_id(store, value) or value
    elif isinstance(value, list):
        node[name] = [(_by_id(store, v) or v) if isinstance(v, str) else v for v in value]
    _expand(store, node[name], rest, path)


def _by_id(store: Store, id: str) -> Object | None:
    found = store.find(id)
    return render(store, found) if found else None


def _line_items(store: Store, session: Object) -> Object:
    kept = store.tables["sessions"][session["id"]]
    items = [render(store, item) for item in kept["_line_items"]]
    return page(items, f"/v1/checkout/sessions/{session['id']}/line_items")


def _payments(store: Store, invoice: Object) -> Object:
    found = [render(store, p) for p in store.where("invoice_payments", invoice=invoice["id"])]
    return page(found, "/v1/invoice_payments")


def _refunds(store: Store, charge: Object) -> Object:
    found = [render(store, r) for r in store.where("refunds", charge=charge["id"])][::-1]
    return page(found, f"/v1/charges/{charge['id']}/refunds")


def _subscriptions(store: Store, customer: Object) -> Object:
    found = [
        render(store, s)
        for s in store.where("subscriptions", customer=customer["id"])
        if s["status"] not in ("canceled", "incomplete_expired")
    ]
    return page(found[::-1], f"/v1/customers/{customer['id']}/subscriptions")


def _kept(table: str, name: str) -> Any:
    def include(store: Store, node: Object) -> Any:
        return _public(store.tables[table][node["id"]].get(name))

    return include


def _breakdown(store: Store, node: Object) -> Object:
    return {"discounts": [], "taxes": []}


_INCLUDE: dict[tuple[str, str], Any] = {
    ("checkout.session", "line_items"): _line_items,
    ("invoice", "payments"): _payments,
    ("charge", "refunds"): _refunds,
    ("customer", "subscriptions"): _subscriptions,
    ("customer", "sources"): lambda store, node: page([], f"/v1/customers/{node['id']}/sources"),
    ("customer", "tax"): lambda store, node: {
        "automatic_tax": "supported",
        "ip_address": None,
        "location": None,
    },
    ("price", "tiers"): _kept("prices", "tiers"),
    ("price", "currency_options"): _kept("prices", "currency_options"),
    ("coupon", "applies_to"): _kept("coupons", "_applies_to"),
    ("", "breakdown"): _breakdown,
    ("item", "discounts"): lambda store, node: [],
}
