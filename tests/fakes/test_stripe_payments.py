"""Payment intents off session, refunds and disputes at the fake Stripe."""

from __future__ import annotations

import pytest
import stripe

from tests.fakes.stripe.handle import PAYS, Refused
from tests.fakes.stripe.shop import Shop

FAILS_LATER = "4000000000000341"
AUTHENTICATES = "4000002500003155"
DISPUTES = "4000000000000259"


def take(shop: Shop, card: str = PAYS, amount: int = 2000) -> stripe.PaymentIntent:
    customer = shop.customer()
    method = shop.fake.replace_card(customer.id, card)["id"]
    return shop.api.payment_intents.create(
        {
            "amount": amount,
            "currency": "usd",
            "customer": customer.id,
            "payment_method": method,
            "off_session": True,
            "confirm": True,
            "metadata": {"topup": "3"},
        }
    )


def test_off_session(shop: Shop) -> None:
    intent = take(shop)
    assert (intent.status, intent.amount_received) == ("succeeded", 2000)
    charge = shop.api.charges.retrieve(intent.latest_charge, {"expand": ["balance_transaction"]})
    assert (charge.paid, charge.payment_intent, charge.metadata["topup"]) == (True, intent.id, "3")
    assert charge.balance_transaction.net == 2000 - 88
    assert not hasattr(charge, "invoice")


@pytest.mark.parametrize(
    ("card", "code"),
    [(FAILS_LATER, "card_declined"), (AUTHENTICATES, "authentication_required")],
)
def test_off_session_refused(shop: Shop, card: str, code: str) -> None:
    with pytest.raises(stripe.CardError) as refused:
        take(shop, card)
    assert (refused.value.http_status, refused.value.code) == (402, code)
    intent = shop.api.payment_intents.retrieve(refused.value.error.payment_intent.id)
    assert intent.status == "requires_payment_method"
    assert intent.last_payment_error.code == code
    assert intent.last_payment_error.payment_method.type == "card"
    assert shop.types()[-3:] == [
        "payment_intent.created",
        "charge.failed",
        "payment_intent.payment_failed",
    ]


def test_authenticated_afterwards(shop: Shop) -> None:
    with pytest.raises(stripe.CardError) as refused:
        take(shop, AUTHENTICATES)
    id = refused.value.error.payment_intent.id
    confirmed = shop.api.payment_intents.confirm(
        id,
        {
            "payment_method": refused.value.error.payment_method.id,
            "return_url": "https://shop.test/",
        },
    )
    assert confirmed.status == "requires_action"
    assert confirmed.next_action.redirect_to_url.return_url == "https://shop.test/"
    shop.fake.authenticate(id)
    assert shop.api.payment_intents.retrieve(id).status == "succeeded"
    with pytest.raises(Refused, match="needs no authentication"):
        shop.fake.authenticate(id)


def test_a_canceled_intent_takes_nothing(shop: Shop) -> None:
    intent = shop.api.payment_intents.create({"amount": 500, "currency": "usd"})
    assert shop.api.payment_intents.cancel(intent.id).status == "canceled"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.api.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert refused.value.code == "payment_intent_unexpected_state"


@pytest.mark.parametrize("amount", ["0", "-5", "1.5", "49", "100000000", "1e3"])
def test_bad_amount(shop: Shop, amount: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.api.payment_intents.create({"amount": amount, "currency": "usd"})
    assert refused.value.param == "amount"


def test_refunds_in_parts(shop: Shop) -> None:
    intent = take(shop)
    with shop.happening() as types:
        first = shop.api.refunds.create({"payment_intent": intent.id, "amount": 500})
    assert types == ["charge.refunded", "refund.created", "refund.updated", "charge.refund.updated"]
    assert (first.status, first.amount, first.charge) == ("succeeded", 500, intent.latest_charge)
    charge = shop.api.charges.retrieve(intent.latest_charge)
    assert (charge.amount_refunded, charge.refunded) == (500, False)
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded"):
        shop.api.refunds.create({"charge": charge.id, "amount": 1501})
    shop.api.refunds.create({"charge": charge.id})
    charge = shop.api.charges.retrieve(charge.id, {"expand": ["refunds"]})
    assert (charge.amount_refunded, charge.refunded) == (2000, True)
    assert [refund.amount for refund in charge.refunds.data] == [1500, 500]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.api.refunds.create({"charge": charge.id})
    assert refused.value.code == "charge_already_refunded"


def test_dispute_lost(shop: Shop) -> None:
    charge = take(shop).latest_charge
    with shop.happening() as types:
        dispute = shop.fake.dispute(charge)
    assert types == [
        "charge.dispute.created",
        "charge.updated",
        "charge.dispute.funds_withdrawn",
    ]
    assert (dispute["status"], dispute["amount"]) == ("needs_response", 2000)
    assert shop.api.charges.retrieve(charge).disputed
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.api.refunds.create({"charge": charge})
    assert refused.value.code == "charge_disputed"
    with shop.happening() as types:
        shop.fake.close_dispute(dispute["id"], "lost")
    assert types == ["charge.dispute.closed"]
    assert shop.api.disputes.retrieve(dispute["id"]).status == "lost"
    with pytest.raises(Refused, match="closed"):
        shop.fake.close_dispute(dispute["id"], "won")


def test_dispute_of_a_part_won(shop: Shop) -> None:
    charge = take(shop).latest_charge
    dispute = shop.fake.dispute(charge, 700)
    with shop.happening() as types:
        shop.fake.close_dispute(dispute["id"], "won")
    assert types == ["charge.dispute.funds_reinstated", "charge.dispute.closed"]
    found = shop.api.disputes.list({"charge": charge}).data
    assert [(one.amount, one.status) for one in found] == [(700, "won")]
    assert [moved.amount for moved in found[0].balance_transactions] == [-700, 700]
    assert shop.api.refunds.create({"charge": charge}).amount == 2000


def test_card_that_is_disputed(shop: Shop) -> None:
    intent = take(shop, DISPUTES)
    assert intent.status == "succeeded"
    assert "charge.dispute.created" in shop.types()


def test_detached_card_is_not_used_again(shop: Shop) -> None:
    customer = shop.customer()
    method = shop.api.customers.retrieve(customer.id).invoice_settings.default_payment_method
    shop.api.payment_methods.detach(method)
    assert shop.api.customers.retrieve(customer.id).invoice_settings.default_payment_method is None
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        shop.api.payment_intents.create(
            {"amount": 500, "currency": "usd", "payment_method": method, "confirm": True}
        )
