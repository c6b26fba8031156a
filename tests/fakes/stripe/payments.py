"""Payment intents: taking money by card, with or without the person there.

Those who wait for an intent's end (a Checkout session, an invoice) are told through ``follows``:
an intent's ``_for`` names one, as ``["session", id]``.
"""

from __future__ import annotations

from collections.abc import Callable

from . import cards, charges, disputes, events
from .errors import StripeError, unexpected_state
from .store import Object, Store

Follower = Callable[[Store, str, Object], None]
_FOLLOWERS: dict[str, Follower] = {}
MINIMUM = 50  # cents, or what is worth about as much
_MAXIMUM = 99_999_999
DONE = ("succeeded", "canceled")


def follows(kind: str) -> Callable[[Follower], Follower]:
    """The function that hears of an intent that ended after its first attempt."""

    def register(function: Follower) -> Follower:
        _FOLLOWERS[kind] = function
        return function

    return register


def make(
    store: Store, amount: int, currency: str, customer: str | None, **fields: object
) -> Object:
    """A new intent, announced; nothing is taken yet. StripeError for an amount out of bounds."""
    if not MINIMUM <= amount <= _MAXIMUM:
        small = amount < MINIMUM
        raise StripeError(
            "Amount must be at least $0.50 usd"
            if small
            else "Amount must be no more than $999,999.99",
            code="amount_too_small" if small else "amount_too_large",
            param="amount",
        )
    id = store.new_id("pi")
    intent = store.add(
        "payment_intents",
        {
            "id": id,
            "object": "payment_intent",
            "amount": amount,
            "amount_capturable": 0,
            "amount_details": {"tip": {}},
            "amount_received": 0,
            "application": None,
            "application_fee_amount": None,
            "automatic_payment_methods": None,
            "canceled_at": None,
            "cancellation_reason": None,
            "capture_method": "automatic_async",
            "client_secret": store.new_id(f"{id}_secret"),
            "confirmation_method": "automatic",
            "created": store.now(),
            "currency": currency,
            "customer": customer,
            "customer_account": None,
            "description": None,
            "excluded_payment_method_types": None,
            "last_payment_error": None,
            "latest_charge": None,
            "livemode": False,
            "metadata": {},
            "next_action": None,
            "on_behalf_of": None,
            "payment_method": None,
            "payment_method_configuration_details": None,
            "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
            "payment_method_types": ["card"],
            "processing": None,
            "receipt_email": None,
            "review": None,
            "setup_future_usage": None,
            "shipping": None,
            "source": None,
            "statement_descriptor": None,
            "statement_descriptor_suffix": None,
            "status": "requires_payment_method",
            "transfer_data": None,
            "transfer_group": None,
            "_for": None,
            **fields,
        },
    )
    events.emit(store, "payment_intent.created", intent)
    return intent


def attempt(
    store: Store,
    intent: Object,
    method: Object,
    *,
    off_session: bool,
    return_url: str | None = None,
) -> StripeError | None:
    """Try to take the money. The intent says how it went; a refusal is returned, not raised.

    On session a card that needs authentication leaves the intent at ``requires_action``.
    """
    intent["payment_method"] = method["id"]
    does = cards.behaviour(method).does
    if does == "delayed":
        intent["status"] = "processing"
        events.emit(store, "payment_intent.processing", intent)
        return None
    if does == "authenticates" and off_session:
        return _fail(store, intent, method, _needs_authentication())
    if does == "authenticates":
        _ask(store, intent, return_url)
        return None
    if does in ("declines", "fails_later") and (does == "declines" or off_session or _kept(method)):
        return _fail(store, intent, method, cards.declined(method))
    _succeed(store, intent, method)
    return None


def _kept(method: Object) -> bool:
    """The card that attaches and then declines: it declines once it is a customer's."""
    return method["customer"] is not None


def _needs_authentication() -> StripeError:
    return StripeError(
        "Your card was declined. This transaction requires authentication.",
        status=402,
        type="card_error",
        code="authentication_required",
        decline_code="authentication_required",
    )


def _ask(store: Store, intent: Object, return_url: str | None) -> None:
    intent["status"] = "requires_action"
    intent["next_action"] = {
        "type": "redirect_to_url",
        "redirect_to_url": {"return_url": return_url, "url": ""},
    }
    events.emit(store, "payment_intent.requires_action", intent)


def _succeed(store: Store, intent: Object, method: Object) -> None:
    if intent["setup_future_usage"] and intent["customer"]:
        cards.attach(store, method, store.get("customers", intent["customer"]))
    method["_used"] = True
    charge = charges.create(store, intent, method, None)
    intent.update(
        status="succeeded",
        amount_received=intent["amount"],
        latest_charge=charge["id"],
        last_payment_error=None,
        next_action=None,
    )
    charges.announce(store, charge)
    events.emit(store, "payment_intent.succeeded", intent)
    if charges.is_to_be_disputed(store, charge):
        disputes.open(store, charge["id"], reason="fraudulent")


def _fail(store: Store, intent: Object, method: Object, error: StripeError) -> StripeError:
    shown = {**error.body()["error"]}
    charge = charges.create(store, intent, method, shown)
    shown |= {"charge": charge["id"], "payment_method": method["id"]}
    intent.update(
        status="requires_payment_method",
        latest_charge=charge["id"],
        last_payment_error=shown,
        next_action=None,
        payment_method=None,
    )
    charges.announce(store, charge)
    events.emit(store, "payment_intent.payment_failed", intent)
    error.more |= {"charge": charge["id"], "payment_intent": intent, "payment_method": method}
    return error


def authenticate(store: Store, id: str, outcome: str = "succeeded") -> Object:
    """What the 3-D Secure page does: ``succeeded`` or ``failed``. Returns the intent.

    An intent that was refused off session for want of authentication may be authenticated, too, as
    if it had been confirmed again with the person there. StripeError in any other state.
    """
    intent = store.get("payment_intents", id, "intent")
    error = intent["last_payment_error"] or {}
    refused = error.get("code") == "authentication_required"
    if intent["status"] != "requires_action" and not (
        refused and intent["status"] == "requires_payment_method"
    ):
        raise unexpected_state(
            "payment_intent_unexpected_state",
            "This payment needs no authentication.",
            payment_intent=intent,
        )
    method = store.get("payment_methods", intent["payment_method"] or error["payment_method"])
    intent["payment_method"] = method["id"]
    if outcome == "succeeded":
        _succeed(store, intent, method)
    else:
        failed = StripeError(
            "We are unable to authenticate your payment method. Please choose a different payment "
            "method and try again.",
            status=402,
            type="card_error" if refused else "invalid_request_error",
            code="payment_intent_authentication_failure",
        )
        _fail(store, intent, method, failed)
    tell(store, intent)
    return intent


def finish_delayed(store: Store, id: str, outcome: str) -> Object:
    """A delayed payment arrives or does not."""
    intent = store.get("payment_intents", id, "intent")
    if intent["status"] != "processing":
        raise unexpected_state("payment_intent_unexpected_state", "No delayed payment is open.")
    method = store.get("payment_methods", intent["payment_method"])
    if outcome == "succeeded":
        _succeed(store, intent, method)
    else:
        _fail(store, intent, method, cards.declined(method))
    tell(store, intent)
    return intent


def tell(store: Store, intent: Object) -> None:
    """Let who waits for an intent know how it stands."""
    if intent["_for"]:
        kind, id = intent["_for"]
        _FOLLOWERS[kind](store, id, intent)


def abandon(store: Store, intent: Object, reason: str | None) -> None:
    """End an intent that will never be paid."""
    intent.update(
        status="canceled",
        canceled_at=store.now(),
        cancellation_reason=reason,
        next_action=None,
    )
    events.emit(store, "payment_intent.canceled", intent)
