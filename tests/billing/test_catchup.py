"""What Stripe told of in vain is found: within the hour, or after months."""

from datetime import timedelta

import pytest
from django.utils import timezone
from djstripe.models import Event, Subscription

from billing import catchup, checkout, entitlements
from billing.models import CatchUp, Payment
from common.errors import Unavailable
from ledger.balances import balance_of
from tests.billing.stripe_world import CREDIT, in_threads, invoices_of, refund, subscribe

DAY = timedelta(days=1)


def buy(fake, user, quantity=100):
    order = checkout.open_credits(user, quantity)
    fake.pay(order.stripe_id)
    return order


def test_a_missed_purchase_is_found_once(fake_stripe, user):
    buy(fake_stripe, user)
    assert catchup.catch_up().applied > 0
    assert balance_of(user).available == 100 * CREDIT
    again = catchup.catch_up()
    assert (again.applied, again.known) == (0, Event.objects.count())
    refund(fake_stripe, Payment.objects.get(), 500)
    catchup.catch_up()
    assert balance_of(user).available == 50 * CREDIT


def test_missed_subscription_and_cancellation(fake_stripe, user, plans):
    subscription = subscribe(fake_stripe, user, plans["pro"])
    catchup.catch_up()
    assert entitlements.current(user).plan.slug == "pro"
    fake_stripe.api.v1.subscriptions.cancel(subscription)
    catchup.catch_up()
    assert entitlements.current(user).plan.slug == "free"


def test_live_subscriptions_are_compared_though_no_event_tells(fake_stripe, user, plans):
    subscription = subscribe(fake_stripe, user, plans["pro"])
    catchup.catch_up()
    row = Subscription.objects.get(id=subscription)
    row.stripe_data["status"] = "canceled"  # as if something had gone wrong here
    row.save()
    entitlements.follow(user)
    assert entitlements.current(user).plan.slug == "free"
    caught = catchup.catch_up()
    assert (caught.applied, caught.subscriptions) == (0, 1)
    assert entitlements.current(user).plan.slug == "pro"
    assert catchup.catch_up().subscriptions == 0


def test_two_at_once(fake_stripe, user, plans):
    for _ in range(3):
        buy(fake_stripe, user, 10)
    subscribe(fake_stripe, user, plans["pro"])
    in_threads([catchup.catch_up] * 3, threads=3)
    assert balance_of(user).available == 130 * CREDIT
    assert Payment.objects.count() == 4
    assert CatchUp.objects.count() == 1


def test_what_fails_is_tried_again_and_holds_nothing_up(fake_stripe, user):
    catchup.catch_up()
    before = CatchUp.objects.get().until
    broken, whole = (buy(fake_stripe, user, 10) for _ in range(2))
    path = f"/v1/checkout/sessions/{broken.stripe_id}"
    fake_stripe.fault(path=path, status=500, times=4)
    with pytest.raises(Unavailable, match="evt_"):
        catchup.catch_up()
    assert Payment.objects.get().object_id == whole.stripe_id
    assert before <= CatchUp.objects.get().until < timezone.now() - timedelta(milliseconds=1)
    fake_stripe.clear_faults()
    catchup.catch_up()
    assert balance_of(user).available == 20 * CREDIT


def test_stripe_away_moves_nothing(fake_stripe, user, settings):
    settings.STRIPE_API_HOST = "http://127.0.0.1:9"
    with pytest.raises(Unavailable):
        catchup.catch_up()
    assert not CatchUp.objects.exists()


def test_after_months_without_a_look(fake_stripe, user, plans):
    """Stripe's events of then are gone; what was paid and paid back is listed instead."""
    catchup.catch_up()
    order = buy(fake_stripe, user)
    subscription = subscribe(fake_stripe, user, plans["pro"])
    [intent] = [
        one.id
        for one in fake_stripe.api.v1.payment_intents.list({"limit": 100}).data
        if one.amount == order.amount
    ]
    fake_stripe.api.v1.refunds.create({"payment_intent": intent, "amount": 250})
    fake_stripe.advance(fake_stripe.now + 45 * DAY)
    CatchUp.objects.update(until=timezone.now() - 44 * DAY)
    told = fake_stripe.api.v1.events.list({"type": "checkout.session.completed"}).data
    assert told == [], "no event tells of it any more"
    catchup.catch_up()
    assert set(Payment.objects.values_list("object_id", flat=True)) == {
        order.stripe_id,
        *invoices_of(fake_stripe, subscription),
    }
    assert Payment.objects.get(object_id=order.stripe_id).revoked == 25 * CREDIT
    assert catchup.catch_up().applied == 0


def test_old_rows_of_events_are_forgotten(fake_stripe, user):
    buy(fake_stripe, user)
    catchup.catch_up()
    kept = Event.objects.first()
    Event.objects.create(
        id="evt_old", type="invoice.paid", data={}, created=timezone.now() - 61 * DAY
    )
    catchup.catch_up()
    assert not Event.objects.filter(id="evt_old").exists()
    assert Event.objects.filter(id=kept.id).exists()


def test_nothing_personal_is_kept_of_an_event(fake_stripe, user):
    buy(fake_stripe, user)
    catchup.catch_up()
    for event in Event.objects.all():
        assert set(event.data["object"]) == {"id", "object"}
        assert user.email not in str(event.stripe_data)


def test_the_demo_mode_has_nothing_to_catch_up_with(clean_books, settings):
    settings.STRIPE_SECRET_KEY = ""
    assert catchup.catch_up().applied == 0
