"""``/v1/invoices``, ``/v1/invoiceitems`` and ``/v1/invoice_payments``."""

from __future__ import annotations

from . import cards, catalog, customers, drafts, events, forms, invoices, lines, lists
from .errors import StripeError, unexpected_state
from .forms import Params
from .invoice_sums import sum_up
from .render import render
from .store import Object, Store


def create(store: Store, params: Params) -> Object:
    """``POST /v1/invoices``: a draft of the customer's pending items."""
    forms.require(params, "customer")
    customer = customers.get(store, params["customer"])
    id = forms.text(params, "subscription")
    subscription = store.get("subscriptions", id, "subscription") if id else None
    found = []
    if forms.text(params, "pending_invoice_items_behavior", "exclude") == "include" or subscription:
        for item in store.where("invoice_items", customer=customer["id"], invoice=None):
            if subscription is None or item["_subscription"] in (None, id):
                item["invoice"] = "pending"
                found.append(item["_line"])
    if subscription and not found:
        raise unexpected_state(
            "invoice_no_subscription_line_items",
            f"Nothing to invoice for subscription {id}",
        )
    now = store.now()
    currency = forms.text(params, "currency") or (found[0]["currency"] if found else "usd")
    return drafts.draft(
        store,
        customer,
        found,
        reason="subscription_update" if subscription else "manual",
        currency=currency,
        period=(now, now),
        subscription=subscription,
        metadata=forms.metadata(params),
        description=forms.text(params, "description"),
        auto_advance=forms.boolean(params, "auto_advance"),
    )


def create_item(store: Store, params: Params) -> Object:
    """``POST /v1/invoiceitems``: an amount, or a price with a quantity."""
    forms.require(params, "customer")
    customer = customers.get(store, params["customer"])
    price, quantity, amount = _priced(store, params)
    id, now = store.new_id("ii"), store.now()
    description = forms.text(params, "description")
    line = lines.of_price(
        store, price, quantity, (now, now), amount=amount, invoice_item=id,
        **({"description": description} if description else {}),
    )  # fmt: skip
    item = store.add(
        "invoice_items",
        {
            "id": id,
            "object": "invoiceitem",
            "amount": line["amount"],
            "created": now,
            "currency": line["currency"],
            "customer": customer["id"],
            "customer_account": None,
            "date": now,
            "description": line["description"],
            "discountable": True,
            "discounts": [],
            "invoice": None,
            "livemode": False,
            "metadata": forms.metadata(params),
            "net_amount": line["amount"],
            "parent": None,
            "period": line["period"],
            "pricing": line["pricing"],
            "proration": False,
            "quantity": quantity,
            "tax_rates": [],
            "test_clock": None,
            "_line": line,
            "_subscription": forms.text(params, "subscription"),
        },
    )
    events.emit(store, "invoiceitem.created", item)
    if invoice_id := forms.text(params, "invoice"):
        invoice = _draft_only(store, invoice_id)
        line["invoice"], item["invoice"] = invoice_id, invoice_id
        invoice["_lines"].append(line)
        sum_up(store, invoice)
    return item


def _priced(store: Store, params: Params) -> tuple[Object, int, int | None]:
    if pricing := forms.mapping(params, "pricing"):
        price = catalog.price_of(store, pricing, "pricing")
        return price, forms.integer(params, "quantity", 1, at_least=1) or 1, None
    amount = forms.integer(params, "amount")
    if amount is None:
        raise StripeError("You must pass one of amount, pricing or price_data.", param="amount")
    data = {
        "currency": forms.currency(params),
        "unit_amount": str(max(0, amount)),
        "active": "false",
        "product_data": {"name": forms.text(params, "description") or "Invoice item"},
    }
    price = catalog.create_price(store, data)
    price["_hidden"] = True
    return price, 1, amount


def _draft_only(store: Store, id: str) -> Object:
    invoice = store.get("invoices", id, "invoice")
    if invoice["status"] != "draft":
        raise unexpected_state(
            "invoice_not_editable", "Finalized invoices can't be updated in this way."
        )
    return invoice


def update(store: Store, params: Params, id: str) -> Object:
    invoice = store.get("invoices", id)
    before = dict(invoice)
    invoice["metadata"] = forms.metadata(params, invoice["metadata"])
    if "auto_advance" in params:
        invoice["auto_advance"] = forms.boolean(params, "auto_advance")
    if "description" in params:
        invoice["description"] = forms.text(params, "description")
    if "default_payment_method" in params:
        invoice["default_payment_method"] = forms.text(params, "default_payment_method")
    if previous := events.changed(before, invoice):
        events.emit(store, "invoice.updated", invoice, previous)
    return invoice


def finalize(store: Store, params: Params, id: str) -> Object:
    """``POST /v1/invoices/<id>/finalize``; with ``auto_advance`` it is collected, too."""
    invoice = store.get("invoices", id, "invoice")
    if "auto_advance" in params:
        invoice["auto_advance"] = forms.boolean(params, "auto_advance")
    invoices.finalize(store, invoice)
    if invoice["auto_advance"] or invoice["amount_due"] == 0:
        invoices.collect(store, invoice)
    return invoice


def pay(store: Store, params: Params, id: str) -> Object:
    """``POST /v1/invoices/<id>/pay``. Raises the card's refusal as 402."""
    invoice = store.get("invoices", id, "invoice")
    if invoice["status"] == "draft":
        invoices.finalize(store, invoice)
    invoices.open_only(invoice)
    if forms.boolean(params, "paid_out_of_band"):
        invoices.mark_paid(store, invoice)
        return invoice
    method_id = forms.text(params, "payment_method")
    method = cards.find(store, method_id) if method_id else None
    error = invoices.collect(store, invoice, method, on_session=True)
    if error:
        raise error
    return invoice


def void(store: Store, params: Params, id: str) -> Object:
    invoice = store.get("invoices", id, "invoice")
    if invoice["status"] not in ("open", "uncollectible"):
        raise unexpected_state(
            "invoice_not_open", "You can only void an open or uncollectible invoice."
        )
    invoices.end(store, invoice, "void")
    return invoice


def mark_uncollectible(store: Store, params: Params, id: str) -> Object:
    invoice = store.get("invoices", id, "invoice")
    if invoice["status"] != "open":
        raise unexpected_state("invoice_not_open", "Only an open invoice can be uncollectible.")
    invoices.end(store, invoice, "uncollectible")
    return invoice


def delete(store: Store, params: Params, id: str) -> Object:
    """Only of a draft."""
    invoice = _draft_only(store, id)
    store.remove("invoices", id)
    events.emit(store, "invoice.deleted", invoice)
    return {"id": id, "object": "invoice", "deleted": True}


def list_lines(store: Store, params: Params, id: str) -> Object:
    invoice = store.get("invoices", id)
    url = f"/v1/invoices/{id}/lines"
    show = lambda line: render(store, line)  # noqa: E731
    return lists.cut(invoice["_lines"], params, url=url, kind="line item", show=show)


def list_invoices(store: Store, params: Params) -> Object:
    subscription = forms.text(params, "subscription")
    return lists.answer(
        store,
        "invoices",
        params,
        url="/v1/invoices",
        filters=("customer", "status", "collection_method"),
        where=lambda invoice: subscription in (None, invoice["_subscription"]),
    )


def list_items(store: Store, params: Params) -> Object:
    pending = forms.boolean(params, "pending")
    return lists.answer(
        store,
        "invoice_items",
        params,
        url="/v1/invoiceitems",
        filters=("customer", "invoice"),
        where=lambda item: not pending or item["invoice"] is None,
    )


def list_payments(store: Store, params: Params) -> Object:
    """``GET /v1/invoice_payments`` by invoice, or by ``payment[payment_intent]``."""
    intent = forms.text(forms.mapping(params, "payment"), "payment_intent")
    return lists.answer(
        store,
        "invoice_payments",
        params,
        url="/v1/invoice_payments",
        filters=("invoice", "status"),
        where=lambda one: intent in (None, one["payment"]["payment_intent"]),
    )
