"""Checkout: what is bought on one side, the card on the other."""

from __future__ import annotations

from html import escape

from aiohttp import web

from .. import sessions
from ..errors import StripeError
from ..store import Object, Store
from .card import card_fields, number_of
from .html import day, error, every, money, page
from .serving import Form, success_address


def show(store: Store, id: str, problem: str = "", form: Form | None = None) -> web.Response:
    """``GET /c/pay/<session>``. ``form`` is what was typed before a refusal."""
    session = store.get("sessions", id)
    if session["status"] != "open" or session["expires_at"] <= store.now():
        return _over(session)
    typed = form or {}
    told = error(problem or _refusal(store, session))
    body = (
        f'<div class="halves"><section><p>{_back(session)}</p>{_summary(store, session)}'
        f"{_promotion(store, session, typed)}</section>"
        f'<section class="card"><h2>Pay by card</h2>{told}{_card(store, session, typed)}'
        f"{_delayed(session)}</section></div>"
    )
    return page("Checkout", body, status=402 if problem else 200)


def act(store: Store, id: str, form: Form) -> str | web.Response:
    """``POST /c/pay/<session>``: pay, by a card or ``method=delayed``; or apply a code."""
    session = store.get("sessions", id)
    if session["status"] != "open" or session["expires_at"] <= store.now():
        return show(store, id)
    try:
        if form.get("do") == "code":
            sessions.apply_code(store, id, form.get("promotion_code", ""))
            return f"/c/pay/{id}"
        number = "delayed" if form.get("method") == "delayed" else number_of(store, form)
        session = sessions.pay(store, id, number, email=form.get("email"))
    except StripeError as refused:
        return show(store, id, refused.message, form)
    if session["status"] == "complete":
        return success_address(session)
    return f"/authenticate/{session['payment_intent']}"


def _refusal(store: Store, session: Object) -> str:
    """Why the last attempt failed, for whoever comes back from the bank's page."""
    intent = store.tables["payment_intents"].get(session["payment_intent"] or "", {})
    return str((intent.get("last_payment_error") or {}).get("message", ""))


def _over(session: Object) -> web.Response:
    if session["status"] != "complete":
        title = "This page has expired"
        told = "Nothing was paid. Start again where you came from."
    else:
        title = "This is done"
        told = "It was completed; there is nothing more to pay here."
    back = session["success_url"] if session["status"] == "complete" else session["cancel_url"]
    address = success_address(session) if session["status"] == "complete" else session["cancel_url"]
    way = f'<p><a href="{escape(address)}">Go back</a></p>' if back else ""
    return page(title, f"<h1>{title}</h1><p>{told}</p>{way}", narrow=True)


def _back(session: Object) -> str:
    address = session["cancel_url"]
    return f'<a href="{escape(address)}">← Back</a>' if address else ""


def _summary(store: Store, session: Object) -> str:
    currency = session["currency"]
    rows = []
    for item in session["_line_items"]:
        price = store.get("prices", item["price"])
        each = f"Qty {item['quantity']:,}" if item["quantity"] != 1 else ""
        rows.append(
            f"<dt>{escape(item['description'] or 'Item')}<small>{each}</small></dt>"
            f"<dd>{money(item['amount_subtotal'], currency)}{every(price)}</dd>"
        )
    trial = _trial(store, session)
    off = session["total_details"]["amount_discount"]
    tax = session["total_details"]["amount_tax"]
    sums = [("Subtotal", session["amount_subtotal"])] if off or tax else []
    sums += [("Discount", -off)] if off else []
    sums += [("Tax", tax)] if tax else []
    rows.append('<div class="rule"></div>')
    rows += [f"<dt>{name}</dt><dd>{money(amount, currency)}</dd>" for name, amount in sums]
    total = money(session["amount_total"], currency)
    rows.append(f'<dt class="total">Due today</dt><dd class="total">{total}</dd>')
    what = "Subscribe" if session["mode"] == "subscription" else "Pay"
    head = f'<p class="soft">{what}</p><p class="big">{total}</p>{trial}'
    return f'{head}<dl class="sums">{"".join(rows)}</dl>'


def _trial(store: Store, session: Object) -> str:
    end = sessions.trial_end(store, session)
    return f'<p class="soft">Free until {day(end)}; then it costs as below.</p>' if end else ""


def _promotion(store: Store, session: Object, typed: Form) -> str:
    if not session["allow_promotion_codes"]:
        return ""
    applied = store.tables["promotion_codes"].get(
        (session["_discount"] or {}).get("promotion_code")
    )
    code = escape(typed.get("promotion_code") or (applied["code"] if applied else ""))
    return (
        f'<form method="post" action="/c/pay/{escape(session["id"])}" style="margin-top:1.5rem">'
        '<input type="hidden" name="do" value="code"><label for="code">Promotion code</label>'
        f'<div class="line"><input id="code" name="promotion_code" value="{code}" maxlength="60" '
        'autocomplete="off"><button>Apply</button></div></form>'
    )


def _card(store: Store, session: Object, typed: Form) -> str:
    fields = card_fields(
        number=typed.get("number", ""), expiry=typed.get("expiry", ""), cvc=typed.get("cvc", "")
    )
    if session["mode"] == "subscription":
        label = "Start the trial" if not session["amount_total"] else "Subscribe"
    else:
        label = f"Pay {money(session['amount_total'], session['currency'])}"
    asked = _email(store, session)
    return (
        f'<form method="post" action="/c/pay/{escape(session["id"])}">{asked}{fields}'
        f'<button class="main wide">{label}</button></form>'
    )


def _email(store: Store, session: Object) -> str:
    """Who pays; asked for only where the session names nobody."""
    customer = store.tables["customers"].get(session["customer"] or "", {})
    told = customer.get("email") or session["customer_email"]
    if told:
        return f'<p class="soft">{escape(told)}</p>'
    return (
        '<div class="field"><label for="email">E-mail</label><input id="email" name="email" '
        'type="email" autocomplete="email" required></div>'
    )


def _delayed(session: Object) -> str:
    """A method whose money comes days later, for one-off payments."""
    if session["mode"] != "payment":
        return ""
    return (
        f'<form method="post" action="/c/pay/{escape(session["id"])}" style="margin-top:0.75rem">'
        '<input type="hidden" name="method" value="delayed">'
        '<button class="wide">Pay from a bank account, which takes days</button></form>'
    )
