"""The first page: who pays for what, what was taken, what was told, and a clock to turn."""

from __future__ import annotations

from html import escape

from aiohttp import web

from .. import clock, customers, disputes, periods, refunds, sessions
from ..errors import StripeError
from ..store import Object, Store
from .html import action, day, every, moment, money, page, tag
from .serving import Form

_DAY = 24 * 3600
_RECENT = 12


def show(store: Store, id: str = "") -> web.Response:
    """``GET /``."""
    people = [one for one in store.all("customers")[::-1] if not one.get("deleted")]
    body = (
        "<h1>Fake Stripe</h1>"
        f'<div class="halves"><section class="card">{_clock(store)}</section>'
        f'<section class="card">{_endpoints(store)}</section></div>'
        f'<section class="card"><h2>Customers</h2>{_customers(store, people)}</section>'
        f'<section class="card"><h2>Latest payments</h2>{_charges(store)}</section>'
        f'<section class="card"><h2>Latest events</h2>{_events(store)}</section>'
    )
    return page("Fake Stripe", body)


def _clock(store: Store) -> str:
    turned = store.frozen is not None
    steps = [("day", "A day on"), ("month", "A month on")]
    buttons = "".join(action("/clock", label, step=step) for step, label in steps)
    buttons += action("/clock", "Real time", step="real") if turned else ""
    says = "It stands still until it is turned again." if turned else "It runs with this machine's."
    return (
        f'<h2>Clock</h2><p>{moment(store.now())}</p><p class="soft">{says} Turning it renews '
        f'subscriptions, ends trials and retries cards.</p><div class="buttons">{buttons}</div>'
    )


def _endpoints(store: Store) -> str:
    rows = "".join(
        f"<li><span>{escape(one['url'])}</span>{tag(one['status'])}</li>"
        for one in store.all("webhook_endpoints")
    )
    waiting = sum(one["state"] == "pending" for one in store.deliveries)
    kept = "Webhooks are paused. " if store.paused else ""
    told = f'<p class="soft">{kept}{waiting} on their way.</p>' if rows else ""
    return f'<h2>Webhooks go to</h2><ul class="rows">{rows or "<li>Nobody yet.</li>"}</ul>{told}'


def _customers(store: Store, people: list[Object]) -> str:
    if not people:
        return '<p class="soft">Nobody has been to Checkout yet.</p>'
    return '<ul class="rows">' + "".join(_customer(store, one) for one in people) + "</ul>"


def _customer(store: Store, customer: Object) -> str:
    card = paying_card(store, customer)
    paying = f"{card['brand']} {card['last4']}" if card else "no card kept"
    lines = [
        _subscription(store, one) for one in store.where("subscriptions", customer=customer["id"])
    ]
    name = customer["email"] or customer["name"] or customer["id"]
    return (
        f"<li><span>{escape(name)}<small>{escape(customer['id'])}, {escape(paying)}</small></span>"
        f'<span class="end">{"".join(lines) or "no subscription"}</span></li>'
    )


def paying_card(store: Store, customer: Object) -> Object | None:
    """What the next invoice is paid with: a subscription's own card, else the customer's."""
    live = [
        one
        for one in store.where("subscriptions", customer=customer["id"])
        if one["default_payment_method"] and not one["ended_at"]
    ]
    id = live[-1]["default_payment_method"] if live else None
    method = store.tables["payment_methods"].get(id) if id else None
    method = method or customers.default_method(store, customer)
    return method["card"] if method else None


def _subscription(store: Store, subscription: Object) -> str:
    items = list(store.where("subscription_items", subscription=subscription["id"]))
    what = " + ".join(escape(item_name(store, item)) for item in items)
    ends = items[0]["current_period_end"] if items else None
    if subscription["ended_at"]:
        word = f"ended {day(subscription['ended_at'])}"
    elif subscription["cancel_at"] or subscription["cancel_at_period_end"]:
        word = f"ends {day(subscription['cancel_at'] or ends)}"
    else:
        word = f"renews {day(ends)}"
    return f"<div>{what} {tag(subscription['status'])}<small>{word}</small></div>"


def item_name(store: Store, item: Object) -> str:
    """``Pro, $12.00 per month``."""
    price = store.get("prices", item["price"]) if isinstance(item["price"], str) else item["price"]
    product = store.tables["products"].get(price["product"], {})
    amount = price["unit_amount"]
    cost = "" if amount is None else f", {money(amount, price['currency'])}{every(price)}"
    return f"{product.get('name', 'A plan')}{cost}"


def _charges(store: Store) -> str:
    rows = [_delayed(store, one) for one in _waiting(store)]
    rows += [_charge(store, one) for one in store.all("charges")[: -_RECENT - 1 : -1]]
    return f'<ul class="rows">{"".join(rows)}</ul>' if rows else '<p class="soft">None yet.</p>'


def _waiting(store: Store) -> list[Object]:
    """Sessions that were completed by a method whose money is still on its way."""
    done = store.where("sessions", status="complete", payment_status="unpaid")
    intents = store.tables["payment_intents"]
    return [one for one in done if intents[one["payment_intent"]]["status"] == "processing"]


def _delayed(store: Store, session: Object) -> str:
    at = f"/delayed/{session['id']}"
    buttons = action(at, "It arrives", outcome="succeeded") + action(
        at, "It fails", outcome="failed"
    )
    return (
        f"<li><span>{money(session['amount_total'], session['currency'])} {tag('processing')}"
        f"<small>{escape(session['customer_details']['email'])}, waits for the bank</small></span>"
        f'<span class="buttons">{buttons}</span></li>'
    )


def _charge(store: Store, charge: Object) -> str:
    customer = store.tables["customers"].get(charge["customer"] or "", {})
    who = customer.get("email") or charge["customer"] or "somebody"
    amount = money(charge["amount"], charge["currency"])
    state, buttons = charge["status"], ""
    dispute = next(store.where("disputes", charge=charge["id"]), None)
    if dispute:
        state = f"dispute {dispute['status']}".replace("needs_response", "open")
        if dispute["status"] not in ("won", "lost"):
            at = f"/disputes/{dispute['id']}"
            buttons = action(at, "Won", status="won") + action(at, "Lost", status="lost")
    elif charge["refunded"]:
        state = "refunded"
    elif charge["paid"]:
        at = f"/charges/{charge['id']}"
        buttons = action(at, "Refund", do="refund") + action(at, "Dispute", do="dispute")
    part = charge["amount_refunded"]
    less = (
        f", {money(part, charge['currency'])} refunded" if part and not charge["refunded"] else ""
    )
    failure = f", {charge['failure_message']}" if charge["failure_message"] else ""
    return (
        f"<li><span>{amount} {tag(state)}<small>{escape(who)}, {moment(charge['created'])}"
        f'{escape(less + failure)}</small></span><span class="buttons">{buttons}</span></li>'
    )


def _events(store: Store) -> str:
    states: dict[str, list[str]] = {}
    for one in store.deliveries:
        states.setdefault(one["event"], []).append(one["state"])
    rows = []
    for event in store.all("events")[: -_RECENT - 1 : -1]:
        sent = ", ".join(dict.fromkeys(states.get(event["id"], ["sent to nobody"])))
        rows.append(
            f"<li><span>{escape(event['type'])}<small>{escape(event['id'])}, "
            f"{moment(event['created'])}</small></span>{tag(sent)}</li>"
        )
    return f'<ul class="rows">{"".join(rows)}</ul>' if rows else '<p class="soft">None yet.</p>'


def turn(store: Store, id: str, form: Form) -> str:
    """``POST /clock`` with ``step``: day, month or real."""
    month = {"interval": "month", "interval_count": 1}
    match form.get("step"):
        case "real":
            clock.release(store)
        case "day":
            clock.advance(store, store.now() + _DAY)
        case "month":
            clock.advance(store, periods.after(store.now(), month, 1))
        case _:
            raise StripeError("step: must be day, month or real", param="step")
    return "/"


def act_on_charge(store: Store, id: str, form: Form) -> str:
    """``POST /charges/<id>``: refund what is left of it, or dispute that."""
    if form.get("do") == "dispute":
        disputes.open(store, id)
    else:
        refunds.create(store, {"charge": id})
    return "/"


def close_dispute(store: Store, id: str, form: Form) -> str:
    """``POST /disputes/<id>`` with ``status``: won or lost."""
    disputes.close(store, id, form.get("status", ""))
    return "/"


def end_delayed(store: Store, id: str, form: Form) -> str:
    """``POST /delayed/<session>`` with ``outcome``: the bank's answer days later."""
    outcome = "succeeded" if form.get("outcome") == "succeeded" else "failed"
    sessions.finish_delayed(store, id, outcome)
    return "/"
