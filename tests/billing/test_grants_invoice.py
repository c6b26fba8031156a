"""A plan's allowance: granted for each paid invoice, by its lines, once."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from billing import payments
from billing.models import Letter, Payment, Plan, PlanPrice
from ledger.balances import balance_of
from ledger.models import Grant
from tests.billing.stripe_world import CREDIT, invoices_of, subscribe
from tests.fakes.stripe.handle import Refused

DAY = timedelta(days=1)


def apply_all(fake, subscription):
    return [payments.apply_invoice(one) for one in invoices_of(fake, subscription)]


def test_a_paid_invoice_grants_the_months_allowance_once(fake_stripe, user, plans):
    subscription = subscribe(fake_stripe, user, plans["pro"])
    for _ in range(3):
        [payment] = apply_all(fake_stripe, subscription)
    assert balance_of(user).available == 100 * CREDIT
    lot = Grant.objects.get()
    assert (lot.kind, lot.expires_at) == ("allowance", payment.period_end)
    assert timedelta(days=28) <= payment.period_end - payment.period_start <= timedelta(days=31)
    assert (payment.paid, payment.plan.slug, payment.kind) == (900, "pro", "plan")
    assert payment.order is not None
    assert Letter.objects.get(template="receipt").about["invoice_url"].startswith(fake_stripe.url)


def test_webhooks_bring_plan_and_allowance(delivering, user, plans):
    subscribe(delivering, user, plans["pro"])
    delivering.settled()
    assert balance_of(user).available == 100 * CREDIT
    assert user.entitlement.plan == plans["pro"]


def test_every_renewal_grants_again_until_its_own_end(fake_stripe, user, plans):
    subscription = subscribe(fake_stripe, user, plans["pro"])
    fake_stripe.advance(fake_stripe.now + 62 * DAY)
    paid = apply_all(fake_stripe, subscription)
    assert len(paid) == 3
    for before, after in pairwise(paid):
        assert after.period_start == before.period_end
    assert [lot.expires_at for lot in Grant.objects.order_by("id")] == [p.period_end for p in paid]


def test_an_upgrade_grants_the_difference_for_the_rest_of_the_period(fake_stripe, user, plans):
    subscription = subscribe(fake_stripe, user, plans["pro"])
    apply_all(fake_stripe, subscription)
    bought = fake_stripe.api.v1.subscriptions.retrieve(subscription)
    [item] = bought["items"].data
    start, end = item.current_period_start, item.current_period_end
    middle = start + (end - start) // 2
    fake_stripe.advance(datetime.fromtimestamp(middle, UTC))
    dearer = PlanPrice.objects.get(plan__slug="max").stripe_id
    fake_stripe.api.v1.subscriptions.update(
        subscription,
        {"items": [{"id": item.id, "price": dearer}], "proration_behavior": "always_invoice"},
    )
    _, upgrade = apply_all(fake_stripe, subscription)
    # Half of the month: 4.50 of Pro back (50 credits), 14.50 of Max (200 credits).
    assert upgrade.paid == 1000
    assert upgrade.granted == 150 * CREDIT
    assert upgrade.plan == plans["max"]
    assert upgrade.period_end == datetime.fromtimestamp(end, UTC)
    assert balance_of(user).posted == 250 * CREDIT
    user.refresh_from_db()
    assert user.entitlement.plan == plans["max"]


def test_a_trial_grants_its_own_allowance_until_it_ends(fake_stripe, user, plans):
    Plan.objects.filter(slug="pro").update(trial_days=7, trial_allowance=5 * CREDIT)
    subscription = subscribe(fake_stripe, user, plans["pro"])
    [payment] = apply_all(fake_stripe, subscription)
    assert (payment.paid, payment.granted) == (0, 5 * CREDIT)
    assert payment.period_end - payment.period_start == 7 * DAY
    assert user.entitlement.status == "trialing"
    assert user.entitlement.trial_end == payment.period_end
    fake_stripe.advance(fake_stripe.now + 8 * DAY)
    trial, first = apply_all(fake_stripe, subscription)
    assert (trial.granted, first.granted, first.paid) == (5 * CREDIT, 100 * CREDIT, 900)


def test_a_trials_invoice_that_is_heard_of_late_grants_no_more(fake_stripe, user, plans):
    Plan.objects.filter(slug="pro").update(trial_days=7, trial_allowance=5 * CREDIT)
    subscription = subscribe(fake_stripe, user, plans["pro"])
    fake_stripe.advance(fake_stripe.now + 8 * DAY)
    assert [p.granted for p in apply_all(fake_stripe, subscription)] == [5 * CREDIT, 100 * CREDIT]


def test_a_promotion_code_takes_nothing_off_the_allowance(fake_stripe, user, plans, settings):
    settings.STRIPE_PROMOTION_CODES = True
    coupon = fake_stripe.api.v1.coupons.create({"percent_off": 30, "duration": "once"})
    fake_stripe.api.v1.promotion_codes.create(
        {"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "LESS"}
    )
    subscription = subscribe(fake_stripe, user, plans["pro"], promotion_code="LESS")
    [payment] = apply_all(fake_stripe, subscription)
    assert (payment.paid, payment.granted) == (630, 100 * CREDIT)


def test_an_unpaid_invoice_grants_nothing(fake_stripe, user, plans):
    subscription = subscribe(fake_stripe, user, plans["pro"])
    apply_all(fake_stripe, subscription)
    fake_stripe.replace_card(user.customer.stripe_id, "4000000000000341")
    fake_stripe.advance(fake_stripe.now + 32 * DAY)
    first, second = apply_all(fake_stripe, subscription)
    assert (first.granted, second) == (100 * CREDIT, None)


def test_a_price_that_is_not_ours_grants_nothing(fake_stripe, user, plans):
    subscription = subscribe(fake_stripe, user, plans["pro"])
    PlanPrice.objects.all().delete()
    assert apply_all(fake_stripe, subscription) == [None]
    assert not Payment.objects.exists()


def test_a_second_subscription_is_ended_and_refunded(fake_stripe, user, plans):
    """Two pages that were open side by side, both paid."""
    first = subscribe(fake_stripe, user, plans["pro"])
    bought = fake_stripe.api.v1.subscriptions.retrieve(first)
    fake_stripe.advance(fake_stripe.now + timedelta(seconds=5))
    second = fake_stripe.api.v1.subscriptions.create(
        {
            "customer": bought.customer,
            "items": [{"price": PlanPrice.objects.get(plan__slug="max").stripe_id}],
            "default_payment_method": bought.default_payment_method,
            "metadata": dict(bought.metadata),
        }
    )
    for one in (second.id, first, second.id):
        apply_all(fake_stripe, one)
    assert fake_stripe.api.v1.subscriptions.retrieve(second.id).status == "canceled"
    [refunded] = fake_stripe.api.v1.refunds.list().data
    assert refunded.amount == 2900
    assert balance_of(user).posted == 100 * CREDIT
    void = Payment.objects.get(paid=2900)
    assert void.revoked == void.granted
    user.refresh_from_db()
    assert (user.entitlement.plan, user.entitlement.subscription) == (plans["pro"], first)


def test_a_declined_first_payment_makes_nothing(fake_stripe, user, plans):
    with pytest.raises(Refused):
        subscribe(fake_stripe, user, plans["pro"], card="4000000000000002")
    assert not Payment.objects.exists()
