"""What a user may do follows their subscription, through all that can become of it."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone
from djstripe.models import Subscription

from accounts import verbs as accounts
from billing import entitlements, events
from billing.following import follow_subscription
from billing.models import Entitlement, Letter, Plan, PlanPrice
from tests.billing.stripe_world import in_threads, subscribe
from usage.state import state_of

DAY = timedelta(days=1)


@pytest.fixture
def subscribed(fake_stripe, user, plans):
    """On the plan Pro; answers the subscription's id."""
    subscription = subscribe(fake_stripe, user, plans["pro"])
    follow_subscription(subscription)
    return subscription


@pytest.fixture
def pretend(subscribed, user):
    """``pretend(status="unpaid")``: the mirror says so, as if Stripe had; then it is followed."""

    def pretend(**changes):
        row = Subscription.objects.get(id=subscribed)
        row.stripe_data |= changes
        row.save()
        entitlements.follow(user)
        return entitlements.current(user)

    return pretend


def test_active(subscribed, user):
    now = entitlements.current(user)
    assert (now.plan.slug, now.status, now.source) == ("pro", "active", "stripe")
    assert now.subscription == subscribed
    assert timedelta(days=27) < now.period_end - now.period_start < timedelta(days=32)
    assert state_of(user).plan_body()["period_end"] == now.period_end.isoformat().replace(
        "+00:00", "Z"
    )


def test_cancel_at_period_end_and_taken_back(fake_stripe, subscribed, user):
    for told in (True, False, True):
        fake_stripe.api.v1.subscriptions.update(subscribed, {"cancel_at_period_end": told})
        follow_subscription(subscribed)
        now = entitlements.current(user)
        assert now.status == "active"
        assert now.cancel_at == (now.period_end if told else None)
    fake_stripe.advance(now.period_end + DAY)
    follow_subscription(subscribed)
    assert entitlements.current(user).plan.slug == "free"
    assert not Entitlement.objects.exists()


@pytest.mark.parametrize(
    "status", ["canceled", "unpaid", "paused", "incomplete", "incomplete_expired"]
)
def test_others_leave_the_default_plan(pretend, user, status):
    assert pretend(status=status).plan.slug == "free"
    assert state_of(user).plan_body()["status"] == "active"
    assert pretend(status="active").plan.slug == "pro"


def test_past_due_has_its_grace_and_no_more(pretend, user, settings, subscribed):
    items = Subscription.objects.get(id=subscribed).stripe_data["items"]
    began = timezone.now() - timedelta(days=settings.PAST_DUE_GRACE_DAYS) + timedelta(seconds=30)
    items["data"][0]["current_period_start"] = int(began.timestamp())
    now = pretend(status="past_due", items=items)
    assert (now.plan.slug, now.status, now.gives_access) == ("pro", "past_due", True)
    assert state_of(user).plan_body()["status"] == "past_due"
    assert entitlements.lapse() == 0
    Entitlement.objects.update(grace_until=timezone.now() - timedelta(seconds=1))
    items["data"][0]["current_period_start"] -= 60
    Subscription.objects.filter(id=subscribed).update(
        stripe_data=Subscription.objects.get(id=subscribed).stripe_data | {"items": items}
    )
    assert entitlements.lapse() == 1
    assert entitlements.current(user).plan.slug == "free"
    assert pretend(status="active").status == "active"


def test_a_trial(fake_stripe, user, plans):
    Plan.objects.filter(slug="pro").update(trial_days=14)
    follow_subscription(subscribe(fake_stripe, user, plans["pro"]))
    now = entitlements.current(user)
    assert (now.status, now.trial_end) == ("trialing", now.period_end)
    assert now.trial_end - now.period_start == 14 * DAY


def test_the_end_of_a_trial_is_announced_once(delivering, user, plans):
    Plan.objects.filter(slug="pro").update(trial_days=14)
    subscribe(delivering, user, plans["pro"])
    delivering.settled()
    delivering.pause()
    delivering.advance(delivering.now + 11 * DAY + timedelta(hours=1))
    told = delivering.state()["tables"]["events"].values()
    [warning] = [one for one in told if one["type"] == "customer.subscription.trial_will_end"]
    for copy in range(2):
        events.apply(warning | {"id": f"{warning['id']}{copy}"})
    assert Letter.objects.filter(template="trial_ending").count() == 1


def test_the_dearer_of_two_prices_and_a_downgrade(fake_stripe, subscribed, user):
    [item] = fake_stripe.api.v1.subscriptions.retrieve(subscribed)["items"].data
    for slug in ("max", "pro"):
        price = PlanPrice.objects.get(plan__slug=slug).stripe_id
        fake_stripe.api.v1.subscriptions.update(
            subscribed, {"items": [{"id": item.id, "price": price}]}
        )
        follow_subscription(subscribed)
        assert entitlements.current(user).plan.slug == slug


def test_an_older_price_of_the_plan_is_still_the_plan(subscribed, user, plans):
    PlanPrice.objects.filter(plan=plans["pro"]).update(active=False)
    follow_subscription(subscribed)
    assert entitlements.current(user).plan.slug == "pro"


def test_staffs_assignment_stands_until_it_is_taken_back(subscribed, user, plans):
    internal = Plan.objects.get(slug="internal")
    entitlements.assign_plan(user=user, plan=internal)
    follow_subscription(subscribed)
    now = entitlements.current(user)
    assert (now.plan, now.source, now.subscription) == (internal, "staff", "")
    assert entitlements.unassign(user=user).plan.slug == "pro"


def test_a_subscription_made_after_it_replaces_staffs_assignment(pretend, user):
    entitlements.assign_plan(user=user, plan=Plan.objects.get(slug="internal"))
    assert pretend(status="active").plan.slug == "internal"
    later = datetime.now(UTC) + timedelta(seconds=2)
    assert pretend(created=int(later.timestamp())).plan.slug == "pro"


def test_staffs_assignment_without_a_subscription(user, plans):
    entitlements.assign_plan(user=user, plan=plans["pro"], status="past_due")
    entitlements.follow(user)
    assert entitlements.lapse() == 0
    assert entitlements.current(user).status == "past_due"
    entitlements.end(user=user)
    assert entitlements.current(user).plan.slug == "free"


def test_events_in_any_order_end_in_what_is(fake_stripe, subscribed, user):
    """Each looks at the subscription as it is, so the old event that comes last does no harm."""
    fake_stripe.api.v1.subscriptions.cancel(subscribed)
    in_threads([lambda: follow_subscription(subscribed)] * 10, threads=5)
    assert entitlements.current(user).plan.slug == "free"


def test_another_persons_subscription_is_none_of_mine(fake_stripe, subscribed, user):
    other = accounts.create_user(email="other@example.com")
    entitlements.follow(other)
    assert entitlements.current(other).plan.slug == "free"
    assert entitlements.current(user).plan.slug == "pro"
