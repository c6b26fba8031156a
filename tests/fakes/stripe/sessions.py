"""Checkout sessions: what the page and a test do with them. Made in ``session_api.py``."""

from __future__ import annotations

from . import cards, coupons, customers, drafts, events, invoices, payments, subscriptions
from .errors import StripeError, unexpected_state
from .lines import total_up
from .store import Object, Store

DAY = 24 * 3600


def sums(store: Store, session: Object) -> None:
    """Set a session's totals and its lines', from prices, discount, tax and trial."""
    items = session["_line_items"]
    coupon = None
    if session["_discount"]:
        coupon = store.tables["coupons"].get(session["_discount"]["coupon"])
    taxed = session["automatic_tax"]["enabled"]
    basis_points = store.tax_basis_points if taxed else 0
    subtotal, off, taxes = total_up(items, coupon, basis_points, session["currency"])
    for item, discount, tax in zip(items, off, taxes, strict=True):
        item["amount_discount"], item["amount_tax"] = discount, tax
        item["amount_total"] = item["amount_subtotal"] - discount + tax
    total = subtotal - sum(off) + sum(taxes)
    if trial_end(store, session):
        recurring = sum(i["amount_total"] for i in items if is_recurring(store, i))
        subtotal, total = subtotal - recurring, total - recurring
    details = {"amount_discount": sum(off), "amount_shipping": 0, "amount_tax": sum(taxes)}
    session.update(amount_subtotal=subtotal, amount_total=total, total_details=details)
    session["discounts"] = [dict(session["_discount"])] if session["_discount"] else []
    if taxed:
        session["automatic_tax"]["status"] = "complete"


def is_recurring(store: Store, item: Object) -> bool:
    return store.get("prices", item["price"])["recurring"] is not None


def trial_end(store: Store, session: Object) -> int | None:
    """When the subscription's trial would end if it began now."""
    data = session["_subscription_data"]
    if data.get("trial_period_days"):
        return store.now() + int(data["trial_period_days"]) * DAY
    return int(data["trial_end"]) if data.get("trial_end") else None


def get_open(store: Store, id: str) -> Object:
    """StripeError, to be shown, unless the session still waits to be paid."""
    session = store.get("sessions", id, "session")
    if session["status"] == "open" and session["expires_at"] <= store.now():
        _expire(store, session)
    if session["status"] != "open":
        word = "has expired" if session["status"] == "expired" else "was completed"
        raise unexpected_state("checkout_session_not_open", f"This Checkout Session {word}.")
    return session


def apply_code(store: Store, id: str, word: str) -> Object:
    """Take a typed promotion code ("" removes it). Raises StripeError if it does not apply."""
    session = get_open(store, id)
    if not session["allow_promotion_codes"]:
        raise StripeError("This page takes no promotion codes.", param="promotion_code")
    session["_discount"] = None
    if word:
        before = sum(item["amount_subtotal"] for item in session["_line_items"])
        code = coupons.by_word(store, word, session["customer"], before)
        session["_discount"] = coupons.of_code(code)
    sums(store, session)
    return session


def pay(
    store: Store,
    session_id: str,
    card: str,
    promotion_code: str | None = None,
    *,
    email: str | None = None,
    name: str | None = None,
) -> Object:
    """Pay with a card number, as the page does; ``"delayed"`` completes it unpaid.

    Returns the session. It is ``complete``; or still ``open`` with a payment intent
    (``session["payment_intent"]``, also in subscription mode until it is paid) that has to be
    authenticated first. Raises StripeError when the card is refused: the session stays open.
    """
    session = get_open(store, session_id)
    if promotion_code:
        apply_code(store, session_id, promotion_code)
    sums(store, session)
    if session["amount_total"]:
        _intent_amount(session)
    if card == "delayed" and session["mode"] == "subscription":
        raise StripeError("This way of paying is for a single payment.", param="card")
    method = cards.make(store, card)
    if email or not session["customer_details"]:
        session["customer_details"] = _details(store, session, email, name)
    details = session["customer_details"]
    method["billing_details"] |= {"email": details["email"], "name": details["name"]}
    _ensure_customer(store, session)
    if not session["amount_total"]:
        if session["mode"] == "subscription":
            _keep(store, session, method)
        _complete(store, session, method, None)
        return session
    intent = _intent(store, session)
    return_url = session["success_url"]
    error = payments.attempt(store, intent, method, off_session=False, return_url=return_url)
    if error:
        raise error
    if intent["status"] != "requires_action":
        _complete(store, session, method, intent)
    return session


def _intent_amount(session: Object) -> None:
    if session["amount_total"] < 50:
        raise StripeError(
            "The Checkout Session's total amount due must add up to at least $0.50 usd",
            code="amount_too_small",
        )


def _details(store: Store, session: Object, email: str | None, name: str | None) -> Object:
    customer = store.tables["customers"].get(session["customer"] or "", {})
    return {
        "address": customer.get("address"),
        "business_name": None,
        "email": email or customer.get("email") or session["customer_email"] or "jenny@example.com",
        "individual_name": None,
        "name": name or customer.get("name"),
        "phone": customer.get("phone"),
        "tax_exempt": "none",
        "tax_ids": [],
    }


def _ensure_customer(store: Store, session: Object) -> None:
    """A subscription needs a customer, and so does a card to be kept, or one asked for."""
    keeps = session["_payment_intent_data"].get("setup_future_usage")
    if session["customer"] or (
        session["mode"] == "payment" and session["customer_creation"] != "always" and not keeps
    ):
        return
    details = session["customer_details"]
    told = {"email": details["email"], "name": details["name"] or ""}
    session["customer"] = customers.create(store, told)["id"]


def _intent(store: Store, session: Object) -> Object:
    """The session's intent: one for all attempts."""
    data = session["_payment_intent_data"]
    intent = store.tables["payment_intents"].get(session["payment_intent"] or "")
    if intent is not None:
        intent["amount"] = session["amount_total"]
        return intent
    subscribing = session["mode"] == "subscription"
    intent = payments.make(
        store,
        session["amount_total"],
        session["currency"],
        session["customer"],
        description="Subscription creation" if subscribing else data.get("description"),
        metadata={} if subscribing else dict(data.get("metadata") or {}),
        setup_future_usage="off_session" if subscribing else data.get("setup_future_usage"),
        receipt_email=data.get("receipt_email"),
        _for=["session", session["id"]],
    )
    session["payment_intent"] = intent["id"]
    return intent


def _keep(store: Store, session: Object, method: Object) -> None:
    cards.attach(store, method, customers.get(store, session["customer"]))


def _complete(store: Store, session: Object, method: Object, intent: Object | None) -> None:
    """The person is done. What was bought starts before the session is said to be completed."""
    paid = intent is None or intent["status"] == "succeeded"
    status = "no_payment_required" if intent is None else "paid" if paid else "unpaid"
    session.update(status="complete", payment_status=status)
    session["_method"] = method["id"]
    if session["mode"] == "subscription":
        _subscribe(store, session, method, intent)
        session["payment_intent"] = None
    elif session["invoice_creation"]["enabled"] and paid and session["customer"]:
        _invoice(store, session, intent)
    if session["mode"] == "payment" and session["_discount"]:
        chosen = session["_discount"]
        coupons.redeem(store, chosen, session["customer"], checkout_session=session["id"])
    events.emit(store, "checkout.session.completed", session)


def _subscribe(store: Store, session: Object, method: Object, intent: Object | None) -> None:
    data = session["_subscription_data"]
    wanted = [
        (store.get("prices", item["price"]), item["quantity"])
        for item in session["_line_items"]
        if is_recurring(store, item)
    ]
    subscription = subscriptions.start(
        store,
        customers.get(store, session["customer"]),
        wanted,
        discount=session["_discount"],
        trial_end=trial_end(store, session),
        method=method,
        paid_with=intent,
        extra=_once(store, session),
        metadata=dict(data.get("metadata") or {}),
        description=data.get("description"),
        automatic_tax={**session["automatic_tax"], "disabled_reason": None},
    )
    session.update(subscription=subscription["id"], invoice=subscription["latest_invoice"])


def _once(store: Store, session: Object) -> list[tuple[Object, int]]:
    """What is bought once along with a subscription."""
    return [
        (store.get("prices", item["price"]), item["quantity"])
        for item in session["_line_items"]
        if not is_recurring(store, item)
    ]


def _invoice(store: Store, session: Object, intent: Object | None) -> None:
    invoice = drafts.for_session(store, session)
    invoices.finalize(store, invoice)
    session["invoice"] = invoice["id"]
    if intent and invoice["amount_due"]:
        invoices.add_payment(store, invoice, intent)
    invoices.mark_paid(store, invoice, intent)


def open_intent(store: Store, session: Object) -> Object | None:
    """The intent that waits for the person to authenticate it."""
    intent = store.tables["payment_intents"].get(session["payment_intent"] or "")
    return intent if intent and intent["status"] == "requires_action" else None


@payments.follows("session")
def _followed(store: Store, id: str, intent: Object) -> None:
    """The session's payment ended after authentication (it is open) or delay (it is complete)."""
    session = store.get("sessions", id)
    succeeded = intent["status"] == "succeeded"
    if session["status"] == "open" and intent["status"] in ("succeeded", "processing"):
        method = store.get("payment_methods", intent["payment_method"])
        _complete(store, session, method, intent)
    elif session["status"] == "complete" and session["payment_status"] == "unpaid":
        if succeeded:
            session["payment_status"] = "paid"
        end = "succeeded" if succeeded else "failed"
        events.emit(store, f"checkout.session.async_payment_{end}", session)


def finish_delayed(store: Store, id: str, outcome: str) -> Object:
    """The delayed payment of a completed session ``succeeded`` or ``failed``."""
    session = store.get("sessions", id, "session")
    intent_id = session["payment_intent"] or session.get("_intent")
    if not intent_id or session["payment_status"] != "unpaid" or session["status"] != "complete":
        raise unexpected_state("checkout_session_not_delayed", "No delayed payment is open.")
    payments.finish_delayed(store, intent_id, outcome)
    return session


def expire(store: Store, session_id: str) -> Object:
    """Close an open session. StripeError for any other."""
    session = store.get("sessions", session_id, "session")
    if session["status"] != "open":
        raise StripeError(
            'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout '
            f"Session has a status of `{session['status']}`.",
            param="session",
        )
    _expire(store, session)
    return session


def _expire(store: Store, session: Object) -> None:
    session["status"] = "expired"
    intent = store.tables["payment_intents"].get(session["payment_intent"] or "")
    if intent and intent["status"] not in ("succeeded", "canceled"):
        payments.abandon(store, intent, "automatic")
    events.emit(store, "checkout.session.expired", session)
