"""The customer portal: plan, card, invoices."""

from __future__ import annotations

from html import escape

from aiohttp import web

from .. import amounts, changes, customers, subscriptions
from ..errors import StripeError
from ..store import Object, Store
from .card import card_fields, number_of
from .html import action, day, error, every, money, page, tag
from .index import item_name, paying_card
from .serving import Form

_INVOICES = 24


def show(store: Store, id: str, problem: str = "") -> web.Response:
    """``GET /p/session/<session>``."""
    session = store.get("portal_sessions", id)
    customer = customers.get(store, session["customer"])
    features = _features(store, session)
    owned = [
        _subscription(store, id, one, features)
        for one in store.where("subscriptions", customer=customer["id"])
        if one["status"] not in subscriptions.ENDED
    ]
    plans = "".join(owned) or '<section class="card"><p>No plan at present.</p></section>'
    name = customer["email"] or customer["name"] or customer["id"]
    body = (
        f"<p>{_back(session)}</p><h1>Your billing</h1>"
        f'<p class="soft">{escape(name)}</p>{error(problem)}'
        f'<div class="halves"><div>{plans}</div><div>{_card(store, id, customer, features)}'
        f"{_invoices(store, customer, features)}</div></div>"
    )
    return page("Your billing", body, status=402 if problem else 200)


def act(store: Store, id: str, form: Form) -> str | web.Response:
    """``POST /p/session/<session>`` with ``do``: card, change, cancel or resume."""
    session = store.get("portal_sessions", id)
    try:
        _act(store, session, form)
    except StripeError as refused:
        return show(store, id, refused.message)
    return f"/p/session/{id}"


def _act(store: Store, session: Object, form: Form) -> None:
    features = _features(store, session)
    do = form.get("do", "")
    if do == "card" and features["payment_method_update"]["enabled"]:
        customers.set_card(store, session["customer"], number_of(store, form))
        return
    subscription = store.get("subscriptions", form.get("subscription", ""), "subscription")
    if subscription["customer"] != session["customer"]:
        raise StripeError("This subscription is somebody else's.", param="subscription")
    if do == "change" and features["subscription_update"]["enabled"]:
        _change(store, subscription, features, form.get("price", ""))
    elif do == "stay":
        changes.release_schedule(store, subscription)
    elif do == "cancel" and features["subscription_cancel"]["enabled"]:
        at_end = features["subscription_cancel"]["mode"] == "at_period_end"
        subscriptions.cancel(store, subscription["id"], at_period_end=at_end)
    elif do == "resume":
        subscriptions.resume(store, subscription["id"])
    else:
        raise StripeError("This portal does not offer that.", param="do")


def _change(store: Store, subscription: Object, features: Object, price_id: str) -> None:
    """To another price of the configuration: at once, or with the period's end where it says so
    of a cheaper one."""
    price = next((one for one in _prices(store, features) if one["id"] == price_id), None)
    if price is None:
        raise StripeError("This portal does not offer that plan.", param="price")
    update = features["subscription_update"]
    conditions = {one["type"] for one in update["schedule_at_period_end"]["conditions"]}
    item = subscriptions.items(store, subscription)[0]
    cost = [
        amounts.of_price(one, item["quantity"])
        for one in (store.get("prices", item["price"]), price)
    ]
    if cost[1] < cost[0] and "decreasing_item_amount" in conditions:
        changes.update_plan_later(store, subscription["id"], price_id)
    else:
        behavior = update["proration_behavior"]
        changes.update_plan(store, subscription["id"], price_id, proration=behavior)


def _features(store: Store, session: Object) -> Object:
    features: Object = store.get("portal_configurations", session["configuration"])["features"]
    return features


def _prices(store: Store, features: Object) -> list[Object]:
    """What the configuration lets people change to."""
    offered = features["subscription_update"]["products"] or []
    ids = [id for one in offered for id in one["prices"]]
    return [price for id in ids if (price := store.get("prices", id))["active"]]


def _back(session: Object) -> str:
    address = session["return_url"]
    return f'<a href="{escape(address)}">← Back</a>' if address else ""


def _subscription(store: Store, id: str, subscription: Object, features: Object) -> str:
    items = subscriptions.items(store, subscription)
    what = ", ".join(escape(item_name(store, item)) for item in items)
    at = f"/p/session/{id}"
    ending = subscription["cancel_at"] or subscription["cancel_at_period_end"]
    ends = day(subscription["cancel_at"] or items[0]["current_period_end"])
    if ending:
        word = f"Ends on {ends}."
        buttons = action(at, "Keep the plan", do="resume", subscription=subscription["id"])
    else:
        word = f"Renews on {ends}."
        if subscription["status"] == "trialing":
            word = f"Free until {ends}."
        buttons = ""
        if features["subscription_cancel"]["enabled"]:
            buttons = action(
                at, "Cancel the plan", kind="bad", do="cancel", subscription=subscription["id"]
            )
    later = _scheduled(store, at, subscription)
    plans = _plans(store, at, subscription, features) if not ending and not later else ""
    return (
        f'<section class="card"><h2>Plan</h2><p>{what} {tag(subscription["status"])}</p>'
        f'<p class="soft">{word}</p>{later}{plans}<div class="buttons">{buttons}</div></section>'
    )


def _scheduled(store: Store, at: str, subscription: Object) -> str:
    """A change that waits for the period's end."""
    upcoming = changes.upcoming(store, subscription)
    if upcoming is None:
        return ""
    name = escape(item_name(store, {"price": upcoming["id"]}))
    undo = action(at, "Stay as it is", do="stay", subscription=subscription["id"])
    return f'<div class="note"><p>Changes to {name} with the period\'s end.</p>{undo}</div>'


def _plans(store: Store, at: str, subscription: Object, features: Object) -> str:
    if not features["subscription_update"]["enabled"]:
        return ""
    present = subscriptions.items(store, subscription)[0]["price"]
    rows = []
    for price in _prices(store, features):
        if price["id"] == present:
            continue
        cost = f"{money(price['unit_amount'], price['currency'])}{every(price)}"
        name = escape(store.get("products", price["product"])["name"])
        button = action(
            at, "Change", do="change", subscription=subscription["id"], price=price["id"]
        )
        rows.append(f"<li><span>{name}<small>{cost}</small></span>{button}</li>")
    if not rows:
        return ""
    told = f'<p class="soft">{_when(features)}</p>'
    return f'<h2>Other plans</h2><ul class="rows">{"".join(rows)}</ul>{told}'


def _when(features: Object) -> str:
    update = features["subscription_update"]
    paid = {"always_invoice": "the difference is paid now", "none": "paid from the next period on"}
    begins = paid.get(update["proration_behavior"], "the difference is on the next invoice")
    if update["schedule_at_period_end"]["conditions"]:
        return f"A plan that costs more begins at once, {begins}; one that costs less, next period."
    return f"Another plan begins at once, {begins}."


def _card(store: Store, id: str, customer: Object, features: Object) -> str:
    card = paying_card(store, customer)
    kept = (
        f"{escape(card['brand'].title())} ending in {card['last4']}, "
        f"{card['exp_month']:02}/{card['exp_year']}"
        if card
        else "No card is kept."
    )
    form = ""
    if features["payment_method_update"]["enabled"]:
        form = (
            f'<details><summary>Use another card</summary><form method="post" '
            f'action="/p/session/{escape(id)}"><input type="hidden" name="do" value="card">'
            f'{card_fields()}<button class="main">Save</button></form></details>'
        )
    return f'<section class="card"><h2>Card</h2><p>{kept}</p>{form}</section>'


def _invoices(store: Store, customer: Object, features: Object) -> str:
    if not features["invoice_history"]["enabled"]:
        return ""
    issued = [
        one for one in store.where("invoices", customer=customer["id"]) if one["status"] != "draft"
    ]
    rows = "".join(
        f'<li><span><a href="/i/{one["id"]}">{day(one["created"])}</a>'
        f"<small>{escape(str(one['number']))}</small></span><span>{tag(one['status'])} "
        f"{money(one['total'], one['currency'])}</span></li>"
        for one in issued[: -_INVOICES - 1 : -1]
    )
    shown = f'<ul class="rows">{rows}</ul>' if rows else '<p class="soft">None yet.</p>'
    return f'<section class="card"><h2>Invoices</h2>{shown}</section>'
