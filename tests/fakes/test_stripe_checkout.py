"""Checkout at the fake Stripe: paid, refused, authenticated, delayed, discounted, expired."""

from __future__ import annotations

import pytest
import stripe

from tests.fakes.stripe.handle import DECLINED, Refused
from tests.fakes.stripe.shop import Shop, utc

AUTHENTICATES = "4000002500003155"
POOR = "4000000000009995"


def test_payment(shop: Shop) -> None:
    customer = shop.customer(card=None)
    session = shop.checkout(
        shop.price(500, None),
        customer=customer.id,
        client_reference_id="7",
        metadata={"kind": "credits"},
        payment_intent_data={"metadata": {"order": "9"}, "setup_future_usage": "off_session"},
        line_items=[{"price": shop.price(12, None).id, "quantity": 100}],
    )
    assert (session.status, session.payment_status, session.amount_total) == (
        "open",
        "unpaid",
        1200,
    )
    assert session.payment_intent is None
    assert session.url == f"{shop.fake.url}/c/pay/{session.id}"
    with shop.happening() as types:
        shop.fake.pay(session.id)
    assert types == [
        "payment_intent.created",
        "payment_method.attached",
        "charge.succeeded",
        "payment_intent.succeeded",
        "checkout.session.completed",
    ]
    done = shop.api.checkout.sessions.retrieve(
        session.id, {"expand": ["line_items", "payment_intent.latest_charge"]}
    )
    assert (done.status, done.payment_status, done.url) == ("complete", "paid", None)
    assert (done.client_reference_id, done.metadata["kind"]) == ("7", "credits")
    assert done.line_items.data[0].quantity == 100
    intent = done.payment_intent
    assert (intent.amount_received, intent.metadata["order"]) == (1200, "9")
    assert intent.latest_charge.metadata["order"] == "9"
    kept = shop.api.payment_methods.list({"customer": customer.id}).data
    assert [method.id for method in kept] == [intent.payment_method]
    with pytest.raises(Refused, match="was completed"):
        shop.fake.pay(session.id)


def test_subscription(shop: Shop) -> None:
    session = shop.checkout(
        shop.price(1000), customer_email="ann@example.com",
        subscription_data={"metadata": {"user": "7"}},
    )  # fmt: skip
    with shop.happening() as types:
        shop.fake.pay(session.id)
    assert types == [
        "customer.created",
        "payment_intent.created",
        "payment_method.attached",
        "charge.succeeded",
        "payment_intent.succeeded",
        "customer.subscription.created",
        "invoice.created",
        "invoice.finalized",
        "invoice.updated",
        "invoice_payment.paid",
        "invoice.paid",
        "invoice.payment_succeeded",
        "checkout.session.completed",
    ]
    done = shop.api.checkout.sessions.retrieve(session.id, {"expand": ["subscription", "customer"]})
    assert done.customer.email == "ann@example.com"
    assert done.payment_intent is None
    made = done.subscription
    assert (made.status, made.metadata["user"], made.latest_invoice) == (
        "active",
        "7",
        done.invoice,
    )
    assert made.default_payment_method
    assert done.customer.invoice_settings.default_payment_method is None


@pytest.mark.parametrize(
    ("card", "code"), [(DECLINED, "generic_decline"), (POOR, "insufficient_funds")]
)
def test_refused_card_leaves_the_session_open(shop: Shop, card: str, code: str) -> None:
    session = shop.checkout(shop.price(1000))
    with pytest.raises(Refused, match="Your card"):
        shop.fake.pay(session.id, card)
    (charge,) = shop.api.charges.list().data
    assert (charge.status, charge.outcome.reason) == ("failed", code)
    assert shop.api.checkout.sessions.retrieve(session.id).status == "open"
    assert shop.api.subscriptions.list({"status": "all"}).data == []
    assert shop.types()[-2:] == ["charge.failed", "payment_intent.payment_failed"]
    shop.fake.pay(session.id)
    done = shop.api.checkout.sessions.retrieve(session.id)
    assert done.payment_status == "paid"
    assert len(shop.api.payment_intents.list().data) == 1


@pytest.mark.parametrize("interval", [None, "month"])
def test_authentication(shop: Shop, interval: str | None) -> None:
    session = shop.checkout(shop.price(1000, interval))
    waiting = shop.fake.pay(session.id, AUTHENTICATES)
    assert waiting["status"] == "open"
    intent = shop.api.payment_intents.retrieve(waiting["payment_intent"])
    assert intent.status == "requires_action"
    assert intent.next_action.redirect_to_url.url == f"{shop.fake.url}/authenticate/{intent.id}"
    shop.fake.authenticate(intent.id, "failed")
    assert shop.api.checkout.sessions.retrieve(session.id).status == "open"
    shop.fake.pay(session.id, AUTHENTICATES)
    shop.fake.authenticate(intent.id)
    done = shop.api.checkout.sessions.retrieve(session.id)
    assert (done.status, done.payment_status) == ("complete", "paid")
    assert bool(done.subscription) == bool(interval)


@pytest.mark.parametrize(("outcome", "status"), [("succeeded", "paid"), ("failed", "unpaid")])
def test_delayed_payment(shop: Shop, outcome: str, status: str) -> None:
    session = shop.checkout(shop.price(1000, None))
    shop.fake.pay(session.id, "delayed")
    done = shop.api.checkout.sessions.retrieve(session.id)
    assert (done.status, done.payment_status) == ("complete", "unpaid")
    assert shop.types()[-1] == "checkout.session.completed"
    shop.fake.end_delayed(session.id, outcome)
    assert shop.types()[-1] == f"checkout.session.async_payment_{outcome}"
    assert shop.api.checkout.sessions.retrieve(session.id).payment_status == status


def test_a_delayed_payment_starts_no_subscription(shop: Shop) -> None:
    with pytest.raises(Refused, match="single payment"):
        shop.fake.pay(shop.checkout(shop.price(1000)).id, "delayed")


def test_promotion_code(shop: Shop) -> None:
    coupon = shop.api.coupons.create({"percent_off": 25, "duration": "once"})
    code = shop.api.promotion_codes.create(
        {"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "SPRING"}
    )
    session = shop.checkout(shop.price(999), allow_promotion_codes=True)
    with pytest.raises(Refused, match="invalid"):
        shop.fake.pay(session.id, promotion_code="AUTUMN")
    shop.fake.pay(session.id, promotion_code="spring")
    done = shop.api.checkout.sessions.retrieve(session.id)
    assert (done.amount_subtotal, done.amount_total) == (999, 749)
    assert done.total_details.amount_discount == 250
    assert done.discounts[0].promotion_code == code.id
    first = shop.invoices(done.subscription)[0]
    assert (first.subtotal, first.total, first.amount_paid) == (999, 749, 749)
    assert shop.api.promotion_codes.retrieve(code.id).times_redeemed == 1
    shop.fake.advance(utc("2030-01-01T00:00"))
    assert shop.invoices(done.subscription)[1].amount_paid == 999


def test_a_whole_discount_needs_no_payment(shop: Shop) -> None:
    coupon = shop.api.coupons.create({"percent_off": 100})
    session = shop.checkout(shop.price(999, None), discounts=[{"coupon": coupon.id}])
    shop.fake.pay(session.id)
    done = shop.api.checkout.sessions.retrieve(session.id)
    assert (done.payment_status, done.payment_intent) == ("no_payment_required", None)


def test_tax(shop: Shop) -> None:
    shop.fake.tax(1900)
    session = shop.checkout(shop.price(999), automatic_tax={"enabled": True})
    shop.fake.pay(session.id)
    done = shop.api.checkout.sessions.retrieve(session.id)
    assert (done.amount_subtotal, done.total_details.amount_tax, done.amount_total) == (
        999,
        190,
        1189,
    )
    invoice = shop.invoices(done.subscription)[0]
    assert (invoice.total, invoice.total_excluding_tax, invoice.amount_paid) == (1189, 999, 1189)
    assert invoice.total_taxes[0].amount == 190


def test_trial(shop: Shop) -> None:
    session = shop.checkout(shop.price(1000), subscription_data={"trial_period_days": 7})
    assert session.amount_total == 0
    shop.fake.pay(session.id)
    done = shop.api.checkout.sessions.retrieve(session.id)
    assert done.payment_status == "no_payment_required"
    made = shop.subscription(done.subscription)
    assert (made.status, bool(made.default_payment_method)) == ("trialing", True)


def test_expiry(shop: Shop) -> None:
    shop.fake.advance(utc("2027-03-01T00:00"))
    price = shop.price(1000)
    by_hand, by_clock = shop.checkout(price), shop.checkout(price)
    assert shop.api.checkout.sessions.expire(by_hand.id).status == "expired"
    with pytest.raises(stripe.InvalidRequestError, match="can be expired"):
        shop.api.checkout.sessions.expire(by_hand.id)
    shop.fake.advance(utc("2027-03-02T00:00"))
    assert shop.api.checkout.sessions.retrieve(by_clock.id).status == "expired"
    assert shop.types()[-2:] == ["checkout.session.expired"] * 2
    with pytest.raises(Refused, match="expired"):
        shop.fake.pay(by_clock.id)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"mode": "payment"}, "recurring price"),
        ({"mode": "gift"}, "Invalid mode"),
        ({"line_items": []}, "line_items"),
        ({"line_items": [{"price": "price_none", "quantity": 1}]}, "No such price"),
        ({"customer": "cus_none"}, "No such customer"),
        ({"success_url": ""}, "success_url"),
        ({"expires_at": 1}, "expires_at"),
        ({"discounts": [{"coupon": "NONE"}]}, "No such coupon"),
        ({"allow_promotion_codes": True, "discounts": [{"coupon": "X"}]}, "only specify one"),
    ],
)
def test_bad_session(shop: Shop, told: dict[str, object], message: str) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=message):
        shop.checkout(shop.price(1000), **told)


@pytest.mark.parametrize("quantity", ["0", "-1", "1.5", "1e309", str(2**64), "five"])
def test_bad_quantity(shop: Shop, quantity: str) -> None:
    price = shop.price(1000, None)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.checkout(price, line_items=[{"price": price.id, "quantity": quantity}])
    assert refused.value.http_status == 400


def test_too_little(shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.checkout(shop.price(49, None))
    assert refused.value.code == "amount_too_small"
