"""Stripe's objects are kept by two who ask at once: never an older answer over a later one."""

from django.db import OperationalError
from djstripe.models import Customer, Subscription

from billing.gateway import mirror
from billing.gateway.moments import moment
from billing.models import Customer as OurCustomer
from tests.billing.stripe_world import in_threads, subscribe


def metadata(subscription):
    return Subscription.objects.get(id=subscription).stripe_data["metadata"].get("turn")


def turn(fake, subscription, number):
    fake.api.v1.subscriptions.update(subscription, {"metadata": {"turn": str(number)}})


def test_the_older_answer_comes_last(fake_stripe, user, plans):
    subscription = subscribe(fake_stripe, user, plans["pro"])
    turn(fake_stripe, subscription, 1)
    asked = moment()
    old = mirror.fetch("subscription", subscription)  # and its reader is held up here
    turn(fake_stripe, subscription, 2)
    mirror.refresh(Subscription, subscription)
    row = mirror._write(Subscription, old, asked)
    assert row.stripe_data["metadata"]["turn"] == "2", "who comes late is told what is kept"
    assert metadata(subscription) == "2"
    # The control: saved blindly, the older answer is what stays.
    blind = Subscription.objects.get(id=subscription)
    for name, value in mirror.record(Subscription, old).items():
        setattr(blind, name, value)
    blind.save()
    assert metadata(subscription) == "1"


def until_not_busy(look):
    """As Stripe does: what could not be looked at now, since others were, is told again."""
    for _ in range(5):
        try:
            return look()
        except OperationalError as error:
            busy = error
    raise busy


def test_many_refresh_one_object_while_it_changes(fake_stripe, user, plans):
    """Half of them change it, and each looks after its change, as events do."""
    subscription = subscribe(fake_stripe, user, plans["pro"])

    def change(number):
        if number % 2:
            turn(fake_stripe, subscription, number)
        until_not_busy(lambda: mirror.refresh(Subscription, subscription))

    in_threads([lambda n=n: change(n) for n in range(40)], threads=8)
    there = fake_stripe.api.v1.subscriptions.retrieve(subscription).metadata["turn"]
    assert metadata(subscription) == there


def test_a_stranger_is_not_kept(fake_stripe, user):
    stranger = fake_stripe.api.v1.customers.create({"email": "stranger@example.com"})
    ours = OurCustomer.objects.filter(stripe_id=stranger.id)
    assert mirror.refresh_if(Customer, stranger.id, lambda data: ours.exists()) is None
    assert not Customer.objects.filter(id=stranger.id).exists()


def test_what_was_just_made_gives_way_to_what_was_asked_for(fake_stripe, user):
    made = fake_stripe.api.v1.customers.create({"email": user.email}).to_dict()
    asked = moment()
    changed = made | {"email": "changed@example.com"}
    mirror._write(Customer, changed, asked)
    assert mirror.keep(Customer, made).stripe_data["email"] == "changed@example.com"
