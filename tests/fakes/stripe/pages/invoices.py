"""An invoice for its customer: to pay, and to print."""

from __future__ import annotations

from html import escape

from aiohttp import web

from .. import invoices
from ..errors import StripeError
from ..store import Object, Store
from .authenticate import waits
from .card import card_fields, number_of
from .html import day, error, moment, money, page, tag
from .serving import Form


def show(store: Store, id: str, problem: str = "") -> web.Response:
    """``GET /i/<invoice>``: the hosted invoice page."""
    invoice = _invoice(store, id)
    owed = money(invoice["amount_remaining"], invoice["currency"])
    big = owed if invoice["status"] == "open" else money(invoice["total"], invoice["currency"])
    head = (
        f'<p class="soft">Invoice {escape(str(invoice["number"]))}</p><p class="big">{big}</p>'
        f"<p>{tag(invoice['status'])} {_since(invoice)}</p>"
        f'<dl class="sums">{_sums(invoice)}</dl>'
        f'<p class="soft" style="margin-top:1rem"><a href="/i/{escape(id)}/pdf">Print or save it'
        "</a></p>"
    )
    pay = ""
    if invoice["status"] == "open":
        pay = (
            f'<section class="card">{_bank(store, invoice)}<h2>Pay by card</h2>{error(problem)}'
            f'<form method="post" action="/i/{escape(id)}">{card_fields()}'
            f'<button class="main wide">Pay {owed}</button></form></section>'
        )
    body = (
        f'<div class="{"halves" if pay else ""}"><section class="card">{head}</section>{pay}</div>'
    )
    return page(
        f"Invoice {invoice['number']}", body, narrow=not pay, status=402 if problem else 200
    )


def _bank(store: Store, invoice: Object) -> str:
    """The way to the bank's page, for a payment that waits for its cardholder."""
    intent = invoices.open_intent(store, invoice)
    if intent is None or not waits(intent):
        return ""
    return (
        '<p class="note">The bank wants this payment confirmed. '
        f'<a href="/authenticate/{escape(intent["id"])}">Confirm it</a>, or use another card.</p>'
    )


def act(store: Store, id: str, form: Form) -> str | web.Response:
    """``POST /i/<invoice>`` with a card: pay it with that."""
    _invoice(store, id)
    try:
        invoice = invoices.pay(store, id, number_of(store, form))
    except StripeError as refused:
        return show(store, id, refused.message)
    intent = invoices.open_intent(store, invoice)
    if intent and intent["status"] == "requires_action":
        return f"/authenticate/{intent['id']}"
    return f"/i/{id}"


def printed(store: Store, id: str) -> web.Response:
    """``GET /i/<invoice>/pdf``: what ``invoice_pdf`` names, laid out for paper."""
    invoice = _invoice(store, id)
    currency = invoice["currency"]
    rows = "".join(
        f"<tr><td>{escape(line['description'] or 'Item')}<small>{_period(line)}</small></td>"
        f"<td>{line['quantity'] or ''}</td><td>{money(line['amount'], currency)}</td></tr>"
        for line in invoice["_lines"]
    )
    body = (
        f'<div class="card"><h1>Invoice {escape(str(invoice["number"]))}</h1>'
        f"<p>{tag(invoice['status'])} {_since(invoice)}</p>"
        f'<p class="soft">Issued {day(invoice["created"])}<br>To '
        f"{escape(invoice['customer_name'] or '')} {escape(invoice['customer_email'] or '')}</p>"
        f"<table><thead><tr><th>What</th><th>Quantity</th><th>Amount</th></tr></thead>"
        f'<tbody>{rows}</tbody></table><dl class="sums">{_totals(invoice)}</dl></div>'
        f'<p class="screen"><a href="/i/{escape(id)}">Back to the invoice</a></p>'
    )
    return page(f"Invoice {invoice['number']}", body)


def _invoice(store: Store, id: str) -> Object:
    invoice = store.get("invoices", id)
    if invoice["status"] == "draft":
        raise StripeError("This invoice is a draft; it has no page yet.", status=404)
    return invoice


def _since(invoice: Object) -> str:
    paid = invoice["status_transitions"]["paid_at"]
    if invoice["status"] == "paid":
        return f"on {day(paid)}"
    return (
        f"due {day(invoice['due_date'] or invoice['created'])}"
        if invoice["status"] == "open"
        else ""
    )


def _period(line: Object) -> str:
    start, end = line["period"]["start"], line["period"]["end"]
    return "" if start == end else f"{day(start)} to {day(end)}"


def _sums(invoice: Object) -> str:
    lines = "".join(
        f"<dt>{escape(line['description'] or 'Item')}<small>{_period(line)}</small></dt>"
        f"<dd>{money(line['amount'], invoice['currency'])}</dd>"
        for line in invoice["_lines"]
    )
    return f'{lines}<div class="rule"></div>{_totals(invoice)}'


def _totals(invoice: Object) -> str:
    currency = invoice["currency"]
    off = sum(one["amount"] for one in invoice["total_discount_amounts"] or [])
    tax = sum(one["amount"] for one in invoice["total_taxes"] or [])
    rows = [("Subtotal", invoice["subtotal"])] if off or tax else []
    rows += [("Discount", -off)] if off else []
    rows += [("Tax", tax)] if tax else []
    rows += [("Total", invoice["total"])]
    if invoice["amount_due"] != invoice["total"]:
        rows.append(("Amount due", invoice["amount_due"]))
    return "".join(
        f'<dt class="{"total" if name in ("Total", "Amount due") else ""}">{name}</dt>'
        f'<dd class="{"total" if name in ("Total", "Amount due") else ""}">'
        f"{money(amount, currency)}</dd>"
        for name, amount in rows
    )


def receipt(store: Store, id: str) -> web.Response:
    """``GET /receipt/<charge>``: what ``receipt_url`` names."""
    charge = store.get("charges", id)
    if not charge["paid"]:
        raise StripeError("Nothing was paid here, so there is no receipt.", status=404)
    currency, card = charge["currency"], charge["payment_method_details"]["card"]
    rows = [("Paid", money(charge["amount"], currency)), ("On", moment(charge["created"]))]
    rows.append(("With", f"{card['brand'].title()} ending in {card['last4']}"))
    if charge["amount_refunded"]:
        rows.append(("Refunded", money(charge["amount_refunded"], currency)))
    told = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in rows)
    what = escape(charge["description"] or "Payment")
    body = f'<div class="card"><h1>Receipt</h1><p>{what}</p><dl class="sums">{told}</dl></div>'
    return page("Receipt", body, narrow=True)
