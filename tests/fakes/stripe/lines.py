"""What is sold: lines of a Checkout session and of an invoice, and their sums."""

from __future__ import annotations

from typing import Any

from . import amounts
from .store import Object, Store


def of_session(store: Store, price: Object, quantity: int) -> Object:
    """A line of a Checkout session, before discount and tax."""
    product = store.tables["products"].get(price["product"], {})
    amount = amounts.of_price(price, quantity)
    return {
        "id": store.new_id("li"),
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": 0,
        "amount_subtotal": amount,
        "amount_tax": 0,
        "amount_total": amount,
        "currency": price["currency"],
        "description": product.get("name"),
        "metadata": {},
        "price": price["id"],
        "quantity": quantity,
    }


def of_price(
    store: Store, price: Object, quantity: int, period: tuple[int, int], **more: Any
) -> Object:
    """A line of an invoice for ``quantity`` of a price over a period, epoch seconds.

    ``more`` replaces fields; ``subscription`` and ``item`` say whose it is.
    """
    subscription, item = more.pop("subscription", None), more.pop("item", None)
    invoice_item, proration = more.pop("invoice_item", None), more.pop("proration", False)
    product = store.tables["products"].get(price["product"], {})
    amount = more.pop("amount", None)
    detail: Object = {"invoice_item": invoice_item, "proration": proration}
    detail |= {"proration_details": {"credited_items": None}, "subscription": subscription}
    if item:
        kind, detail = "subscription_item_details", {**detail, "subscription_item": item}
    else:
        kind = "invoice_item_details"
    return {
        "id": store.new_id("il"),
        "object": "line_item",
        "amount": amounts.of_price(price, quantity) if amount is None else amount,
        "currency": price["currency"],
        "description": _description(price, product.get("name", ""), quantity),
        "discount_amounts": [],
        "discountable": not proration,
        "discounts": [],
        "invoice": None,
        "livemode": False,
        "metadata": {},
        "parent": {
            "type": kind,
            "invoice_item_details": None,
            "subscription_item_details": None,
            kind: detail,
        },
        "period": {"start": period[0], "end": period[1]},
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "subscription": subscription,
        "subtotal": 0,
        "taxes": [],
        **more,
    }


def _description(price: Object, name: str, quantity: int) -> str:
    each = price["recurring"]
    if price["unit_amount"] is None:
        return f"{quantity} × {name}"
    whole, cents = divmod(price["unit_amount"], 100)
    unit = f"{whole:,}.{cents:02} {price['currency'].upper()}"
    if price["currency"] == "usd":
        unit = f"${whole:,}.{cents:02}"
    return f"{quantity} × {name} (at {unit}" + (f" / {each['interval']})" if each else ")")


def total_up(
    lines: list[Object], coupon: Object | None, basis_points: int, currency: str
) -> tuple[int, list[int], list[int]]:
    """Subtotal, and each line's discount and exclusive tax."""
    plain: list[int] = [
        line["amount"] if "amount" in line else line["amount_subtotal"] for line in lines
    ]
    open_to = [
        a if line.get("discountable", True) else 0 for a, line in zip(plain, lines, strict=True)
    ]
    off = amounts.discounts(open_to, coupon, currency)
    taxes = [amounts.tax(a - d, basis_points) for a, d in zip(plain, off, strict=True)]
    return sum(plain), off, taxes
