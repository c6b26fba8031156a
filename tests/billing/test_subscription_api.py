"""GET /api/billing/subscription: the plan, and what becomes of it."""

from datetime import UTC, datetime, timedelta

import pytest

from accounts import verbs as accounts
from billing import checkout, entitlements, payments, subscriptions
from billing.following import follow_subscription
from billing.models import Customer, Order, Plan, PlanPrice
from ledger import verbs
from tests.billing.buying import signed_in, with_key


@pytest.fixture
def client(user):
    return signed_in(user)


def shown(client):
    answer = client.get("/api/billing/subscription")
    assert answer.status_code == 200, answer.content
    return answer.json()


def subscribe(fake, user, plan):
    """Subscribed, paid, and looked at; answers the subscription's id."""
    order = checkout.open_plan(user, plan)
    fake.pay(order.stripe_id)
    session = fake.api.v1.checkout.sessions.retrieve(order.stripe_id)
    payments.apply_session(session.id)
    payments.apply_invoice(session.invoice)
    return session.subscription


def test_the_default_plan(fake_stripe, client):
    assert shown(client) == {
        "plan": {"slug": "free", "name": "Free"},
        "status": "active",
        "source": None,
        "period_start": None,
        "period_end": None,
        "trial_end": None,
        "cancel_at": None,
        "grace_until": None,
        "ended_at": None,
        "price": None,
        "scheduled_plan": None,
        "wallet": {"frozen": False, "owed": "0.000000", "message": None},
        "payments": "stripe",
    }


def test_an_active_plan_and_its_period(fake_stripe, client, user, plans):
    subscribe(fake_stripe, user, plans["pro"])
    now = shown(client)
    assert (now["plan"]["slug"], now["status"], now["source"]) == ("pro", "active", "stripe")
    assert now["price"] == {"amount": 900, "currency": "usd"}
    start = datetime.fromisoformat(now["period_start"])
    end = datetime.fromisoformat(now["period_end"])
    assert timedelta(days=28) <= end - start <= timedelta(days=31)
    assert now["cancel_at"] is None


def test_who_pays_an_older_price_is_shown_it(fake_stripe, client, user, plans):
    subscribe(fake_stripe, user, plans["pro"])
    Plan.objects.filter(slug="pro").update(price=1500)
    assert shown(client)["price"] == {"amount": 900, "currency": "usd"}


def test_a_cancellation_says_when_it_ends(fake_stripe, client, user, plans):
    id = subscribe(fake_stripe, user, plans["pro"])
    fake_stripe.api.v1.subscriptions.update(id, {"cancel_at_period_end": True})
    follow_subscription(id)
    now = shown(client)
    assert now["cancel_at"] == now["period_end"]
    fake_stripe.api.v1.subscriptions.cancel(id)
    follow_subscription(id)
    now = shown(client)
    assert (now["plan"]["slug"], now["source"]) == ("free", None)
    ended = datetime.fromisoformat(now["ended_at"])
    assert abs(datetime.now(UTC) - ended) < timedelta(minutes=1)


def test_a_downgrade_that_is_to_come(fake_stripe, client, user, plans):
    id = subscribe(fake_stripe, user, plans["max"])
    schedules = fake_stripe.api.v1.subscription_schedules
    made = schedules.create({"from_subscription": id})
    [phase] = made.to_dict()["phases"]
    pro = PlanPrice.objects.get(plan__slug="pro").stripe_id
    now = {
        "items": [{"price": phase["items"][0]["price"], "quantity": 1}],
        "start_date": phase["start_date"],
        "end_date": phase["end_date"],
    }
    later = {"items": [{"price": pro, "quantity": 1}]}
    schedules.update(made.id, {"phases": [now, later], "end_behavior": "release"})
    follow_subscription(id)
    assert shown(client)["plan"]["slug"] == "max"
    assert shown(client)["scheduled_plan"] == "pro"


def test_what_staff_assigned(fake_stripe, client, user, plans):
    entitlements.assign_plan(user=user, plan=plans["max"])
    now = shown(client)
    assert (now["plan"]["slug"], now["source"], now["price"]) == ("max", "staff", None)


def test_a_frozen_wallet_says_why_and_what_to_do(fake_stripe, client, user, wallet, fund):
    lot = fund(wallet, 5_000_000)
    verbs.spend(account=wallet, amount=3_000_000, key="spent", metadata={})
    verbs.revoke(grant=lot.grant, amount=5_000_000, key="back")
    told = shown(client)["wallet"]
    assert told["frozen"] is True
    assert told["owed"] == "3.000000"
    assert "3 credits are owed" in told["message"]
    assert "Buy credits" in told["message"]


def test_a_key_may_read_it(fake_stripe, client, api_key):
    answer = client.get("/api/billing/subscription", headers=with_key(api_key.secret))
    assert answer.status_code == 200


def test_which_statuses_stand_in_the_way():
    live = {"trialing", "active", "past_due", "unpaid", "paused"}
    every = {*live, "incomplete", "incomplete_expired", "canceled"}
    assert {one for one in every if subscriptions.is_live({"status": one})} == live


def test_another_users_is_not_shown(fake_stripe, client, user, plans):
    other = accounts.create_user(email="other@example.com")
    subscribe(fake_stripe, other, plans["pro"])
    assert shown(client)["plan"]["slug"] == "free"
    assert Customer.objects.get().user == other
    assert Order.objects.get().user == other
