"""dj-stripe takes every object and event of the fake Stripe, refetching as its webhooks do."""

from __future__ import annotations

import json
from typing import Any

import pytest
import stripe
from djstripe import models

from tests.fakes.stripe.shop import Shop, utc

pytestmark = pytest.mark.django_db


@pytest.fixture
def synced(shop: Shop, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setattr(stripe, "api_base", shop.fake.url)
    settings.STRIPE_TEST_SECRET_KEY = settings.STRIPE_SECRET_KEY = shop.fake.key
    settings.STRIPE_LIVE_MODE = False
    return shop


def take(shop: Shop) -> None:
    """Every event that the fake still lists, which are those of thirty days."""
    for event in shop.events():
        models.Event.process(json.loads(str(event)))


def test_a_life_with_everything_in_it(synced: Shop) -> None:
    shop = synced
    shop.fake.advance(utc("2027-03-01T00:00"))
    coupon = shop.api.coupons.create({"percent_off": 10, "duration": "forever"})
    shop.api.promotion_codes.create(
        {"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "TEN"}
    )
    pro = shop.price(3000)
    session = shop.checkout(shop.price(1000), allow_promotion_codes=True)
    done = shop.fake.pay(session.id, promotion_code="TEN")
    made = shop.subscription(done["subscription"])
    item = made["items"].data[0].id
    shop.fake.advance(utc("2027-03-11T00:00"))
    shop.api.subscriptions.update(
        made.id,
        {"items": [{"id": item, "price": pro.id}], "proration_behavior": "always_invoice"},
    )
    take(shop)
    shop.fake.replace_card(done["customer"], "4000000000000341")
    shop.fake.advance(utc("2027-04-20T00:00"))
    once = shop.fake.pay(shop.checkout(shop.price(500, None), customer=done["customer"]).id)
    charge = shop.api.payment_intents.retrieve(once["payment_intent"]).latest_charge
    shop.api.refunds.create({"charge": charge, "amount": 100})
    shop.fake.close_dispute(shop.fake.dispute(charge)["id"], "won")
    take(shop)
    subscription = models.Subscription.objects.get(id=made.id)
    assert subscription.stripe_data["status"] == "canceled"
    assert subscription.customer_id == done["customer"]
    assert subscription.items.get().price.id == pro.id
    assert models.Invoice.objects.count() == 3
    assert models.Session.objects.get(id=once["id"]).payment_intent_id == once["payment_intent"]
    assert models.Dispute.objects.get().stripe_data["status"] == "won"
    # No handler of dj-stripe's takes a refund: one is synced by whoever wants it.
    (refund,) = shop.api.refunds.list({"charge": charge}).data
    kept = models.Refund.sync_from_stripe_data(refund, api_key=shop.fake.key)
    assert (kept.charge_id, kept.balance_transaction.amount) == (charge, -100)
    assert models.Charge.objects.get(id=charge).balance_transaction is not None
    assert models.Account.objects.get().id == shop.fake.api.v1.accounts.retrieve_current().id
