"""Cards by Stripe's test numbers, as payment methods: https://docs.stripe.com/testing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from . import events, forms, lists
from .errors import StripeError, unexpected_state
from .forms import Params
from .store import Object, Store


@dataclass(frozen=True)
class Card:
    """``does``: pays, declines (always), fails_later (attaches, then declines), authenticates,
    is_disputed (pays first), delayed (pays or fails days later)."""

    does: str
    token: str
    brand: str = "visa"
    decline_code: str = "generic_decline"


NUMBERS = {
    "4242424242424242": Card("pays", "visa"),
    "5555555555554444": Card("pays", "mastercard", "mastercard"),
    "4000000000000002": Card("declines", "visa_chargeDeclined"),
    "4000000000009995": Card(
        "declines",
        "visa_chargeDeclinedInsufficientFunds",
        decline_code="insufficient_funds",
    ),
    "4000000000000069": Card("declines", "chargeDeclinedExpiredCard", decline_code="expired_card"),
    "4000000000000341": Card("fails_later", "chargeCustomerFail"),
    "4000002500003155": Card("authenticates", "authenticationRequiredOnSetup"),
    "4000002760003184": Card("authenticates", "authenticationRequired"),
    "4000000000000259": Card("is_disputed", "createDispute"),
    "delayed": Card("delayed", "delayed"),
}
_TOKENS = {f"pm_card_{card.token}": number for number, card in NUMBERS.items()}
_TOKENS |= {"pm_card_chargeDeclined": "4000000000000002"}
_TOKENS |= {"pm_card_chargeDeclinedInsufficientFunds": "4000000000009995"}


def make(store: Store, number: str, **details: object) -> Object:
    """A payment method from a card number, blanks allowed. StripeError for another number."""
    number = "".join(number.split()).replace("-", "")
    card = NUMBERS.get(number)
    if card is None:
        raise StripeError(
            "Your card was declined. Your request was in test mode, but used a non test card. For "
            "a list of valid test cards, visit: https://stripe.com/docs/testing.",
            status=402,
            type="card_error",
            code="card_declined",
            decline_code="test_mode_live_card",
        )
    year = datetime.fromtimestamp(store.now(), UTC).year
    return store.add(
        "payment_methods",
        {
            "id": store.new_id("pm"),
            "object": "payment_method",
            "allow_redisplay": "unspecified",
            "billing_details": {
                "address": dict.fromkeys(
                    ("city", "country", "line1", "line2", "postal_code", "state")
                ),
                "email": None,
                "name": None,
                "phone": None,
                "tax_id": None,
            },
            "card": {
                "brand": card.brand,
                "checks": {
                    "address_line1_check": None,
                    "address_postal_code_check": None,
                    "cvc_check": "pass",
                },
                "country": "US",
                "display_brand": card.brand,
                "exp_month": 12,
                "exp_year": year + 4,
                "fingerprint": f"fake{number[-12:]:0>12}",
                "funding": "credit",
                "generated_from": None,
                "last4": number[-4:] if number.isdecimal() else "0000",
                "networks": {"available": [card.brand], "preferred": None},
                "regulated_status": "unregulated",
                "three_d_secure_usage": {"supported": True},
                "wallet": None,
                **details,
            },
            "created": store.now(),
            "customer": None,
            "customer_account": None,
            "livemode": False,
            "metadata": {},
            "type": "card",
            "_number": number,
        },
    )


def behaviour(method: Object) -> Card:
    return NUMBERS[method["_number"]]


def find(store: Store, id: str, param: str = "payment_method") -> Object:
    """A payment method by its id, or a new one from a test token such as ``pm_card_visa``."""
    if id in _TOKENS:
        return make(store, _TOKENS[id])
    return store.get("payment_methods", id, param)


def declined(method: Object | None) -> StripeError:
    """What a declining card answers."""
    code = behaviour(method).decline_code if method else "generic_decline"
    messages = {
        "insufficient_funds": "Your card has insufficient funds.",
        "expired_card": "Your card has expired.",
    }
    return StripeError(
        messages.get(code, "Your card was declined."),
        status=402,
        type="card_error",
        code="expired_card" if code == "expired_card" else "card_declined",
        decline_code=code,
    )


def attach(store: Store, method: Object, customer: Object) -> Object:
    """Keep a card for a customer. A card that always declines does so here, too."""
    if method["customer"] == customer["id"]:
        return method
    if method["customer"] is not None or method.get("_detached"):
        raise unexpected_state(
            "payment_method_unexpected_state",
            "The payment method you provided has already been attached to a customer.",
        )
    if behaviour(method).does == "declines":
        raise declined(method)
    method["customer"] = customer["id"]
    events.emit(store, "payment_method.attached", method)
    return method


def detach(store: Store, params: Params, id: str) -> Object:
    method = store.get("payment_methods", id)
    if method["customer"] is None:
        raise StripeError(
            "The payment method you provided is not attached to a customer so "
            "detachment is impossible.",
            param="payment_method",
        )
    before, method["customer"], method["_detached"] = method["customer"], None, True
    for customer in store.where("customers", id=before):
        if not customer.get("deleted"):
            settings = customer["invoice_settings"]
            if settings["default_payment_method"] == id:
                settings["default_payment_method"] = None
    for subscription in store.where("subscriptions", default_payment_method=id):
        subscription["default_payment_method"] = None
    events.emit(store, "payment_method.detached", method, {"customer": before})
    return method


def create(store: Store, params: Params) -> Object:
    """``POST /v1/payment_methods`` with a raw test card."""
    forms.require(params, "type")
    card = forms.mapping(params, "card")
    number = card.get("number") or NUMBERS_BY_TOKEN.get(str(card.get("token")), "")
    if not number:
        raise StripeError(
            "Missing required param: card[number].", param="card[number]", code="parameter_missing"
        )
    method = make(store, number)
    method["metadata"] = forms.metadata(params)
    return method


NUMBERS_BY_TOKEN = {f"tok_{card.token}": number for number, card in NUMBERS.items()}


def attach_api(store: Store, params: Params, id: str) -> Object:
    """``POST /v1/payment_methods/<id>/attach``."""
    forms.require(params, "customer")
    customer = store.get("customers", params["customer"], "customer")
    return attach(store, find(store, id, "id"), customer)


def update(store: Store, params: Params, id: str) -> Object:
    method = store.get("payment_methods", id)
    method["metadata"] = forms.metadata(params, method["metadata"])
    method["billing_details"] |= forms.mapping(params, "billing_details")
    return method


def list_methods(store: Store, params: Params, customer: str = "") -> Object:
    """``GET /v1/payment_methods?customer=…`` and ``/v1/customers/<id>/payment_methods``."""
    owner = customer or forms.text(params, "customer")
    if owner:
        store.get("customers", owner, "customer")
    kind = forms.text(params, "type")
    return lists.answer(
        store,
        "payment_methods",
        params,
        url=f"/v1/customers/{customer}/payment_methods" if customer else "/v1/payment_methods",
        where=lambda m: (
            m["customer"] == (owner or None) and kind in (None, m["type"])
            if owner
            else m["customer"] is not None
        ),
    )
