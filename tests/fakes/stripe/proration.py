"""Proration: what is left of a period, to the second, of the amount of its price.

A line is ``amount * seconds left / seconds of the period``, rounded half up:
https://docs.stripe.com/billing/subscriptions/prorations.
"""

from __future__ import annotations

from decimal import Decimal

from . import amounts, events, lines
from .store import Object, Store


def credit(store: Store, subscription: Object, item: Object, at: int) -> Object:
    """The line that gives back the unused time of an item's present price."""
    price = store.get("prices", item["price"])
    return _line(store, subscription, item, price, item["quantity"], at, sign=-1)


def debit(
    store: Store, subscription: Object, item: Object, price: Object, quantity: int, at: int
) -> Object:
    """The line that takes the remaining time of the present period at another price."""
    return _line(store, subscription, item, price, quantity, at, sign=1)


def _line(
    store: Store,
    subscription: Object,
    item: Object,
    price: Object,
    quantity: int,
    at: int,
    sign: int,
) -> Object:
    start, end = item["current_period_start"], item["current_period_end"]
    whole = amounts.of_price(price, quantity)
    if item["_percent_off"] is not None:  # what was paid of it, and is to be paid: after discount
        whole -= amounts.half_up(Decimal(str(item["_percent_off"])) * whole / 100)
    amount = sign * amounts.share(whole, max(0, end - at), end - start)
    name = store.tables["products"].get(price["product"], {}).get("name", "")
    what = "Unused time on" if sign < 0 else "Remaining time on"
    invoice_item = store.new_id("ii")
    line = lines.of_price(
        store,
        price,
        quantity,
        (at, end),
        subscription=subscription["id"],
        item=item["id"],
        invoice_item=invoice_item,
        proration=True,
        amount=amount,
        description=f"{what} {name}",
    )
    add_invoice_item(store, subscription, line, invoice_item)
    return line


def add_invoice_item(store: Store, subscription: Object, line: Object, id: str) -> Object:
    """Keep a line as an invoice item that waits for the subscription's next invoice."""
    item = store.add(
        "invoice_items",
        {
            "id": id,
            "object": "invoiceitem",
            "amount": line["amount"],
            "currency": line["currency"],
            "customer": subscription["customer"],
            "customer_account": None,
            "date": store.now(),
            "created": store.now(),
            "description": line["description"],
            "discountable": line["discountable"],
            "discounts": [],
            "invoice": None,
            "livemode": False,
            "metadata": {},
            "net_amount": line["amount"],
            "parent": {
                "subscription_details": {
                    "subscription": subscription["id"],
                    "subscription_item": line["parent"]["subscription_item_details"][
                        "subscription_item"
                    ],
                },
                "type": "subscription_details",
            },
            "period": line["period"],
            "pricing": line["pricing"],
            "proration": True,
            "quantity": line["quantity"],
            "tax_rates": [],
            "test_clock": None,
            "_line": line,
            "_subscription": subscription["id"],
        },
    )
    events.emit(store, "invoiceitem.created", item)
    return item
