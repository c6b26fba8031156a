"""The bank's 3-D Secure page: a payment is confirmed by its cardholder, or not."""

from __future__ import annotations

from html import escape

from aiohttp import web

from .. import payments
from ..errors import StripeError
from ..store import Object, Store
from .html import action, money, page
from .serving import Form, success_address


def show(store: Store, id: str) -> web.Response:
    """``GET /authenticate/<payment intent>``."""
    intent = store.get("payment_intents", id)
    if not waits(intent):
        body = "<h1>Nothing to confirm</h1><p>This payment needs no authentication any more.</p>"
        return page(
            "Nothing to confirm", body + _way_on(_next(store, intent["_for"], "")), narrow=True
        )
    amount = money(intent["amount"], intent["currency"])
    here = f"/authenticate/{escape(id)}"
    body = (
        '<h1>Your bank asks you to confirm</h1><div class="card">'
        f'<p class="big">{amount}</p><p class="soft">A 3-D Secure check, as a bank would make it '
        "with a code or in its app.</p>"
        f'<div class="buttons">{action(here, "Complete", kind="main", outcome="succeeded")}'
        f"{action(here, 'Fail', kind='bad', outcome='failed')}</div></div>"
    )
    return page("Confirm the payment", body, narrow=True)


def act(store: Store, id: str, form: Form) -> str | web.Response:
    """``POST /authenticate/<payment intent>`` with ``outcome``."""
    intent = store.get("payment_intents", id)
    back = ((intent["next_action"] or {}).get("redirect_to_url") or {}).get("return_url") or ""
    if form.get("outcome") not in ("succeeded", "failed"):
        raise StripeError("outcome: must be succeeded or failed", param="outcome")
    if not waits(intent):
        return show(store, id)
    bought = intent["_for"]  # a plan's session hands its payment on to the invoice
    payments.authenticate(store, id, form["outcome"])
    if address := _next(store, bought, back):
        return address
    done = intent["status"] == "succeeded"
    title = "The payment is confirmed" if done else "The payment was not confirmed"
    return page(title, f"<h1>{title}</h1><p>You can close this page.</p>", narrow=True)


def waits(intent: Object) -> bool:
    """Whether its cardholder has to confirm it, on session or after a refusal off session."""
    refused = (intent["last_payment_error"] or {}).get("code") == "authentication_required"
    return intent["status"] == "requires_action" or (
        refused and intent["status"] == "requires_payment_method"
    )


def _next(store: Store, bought: list[str] | None, back: str) -> str:
    """Where the person goes from here: to what the payment was for, else where it was begun."""
    kind, id = bought or ("", "")
    if kind == "session":
        session = store.get("sessions", id)
        if session["status"] == "complete":
            return success_address(session)
        return f"/c/pay/{id}"
    if kind == "invoice":
        return f"/i/{id}"
    return back


def _way_on(address: str) -> str:
    return f'<p><a href="{escape(address)}">Go on</a></p>' if address else ""
