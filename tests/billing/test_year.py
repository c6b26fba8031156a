"""A year on the test clock, from 31 January of a leap year: every balance as computed by hand.

Pro costs 9.00 and grants 100 credits a month, Max 29.00 and 400; a credit costs 0.10. Periods
begin on the 31st at 10:00, on a month's last day where it has no such day, as Stripe has it.
"""

from datetime import UTC, datetime
from io import StringIO

import pytest
from django.core.management import call_command

from accounts import verbs as accounts
from billing import checkout, entitlements, payments
from billing.models import Letter, Payment, PlanPrice
from common.errors import WalletFrozen
from ledger import verbs
from ledger.balances import balance_of
from tests.billing.clock import moved
from tests.billing.stripe_world import CREDIT, charge_of, refund, subscribe

DECLINES_LATER = "4000000000000341"
# The ends of the periods after the third; then the year is over.
MONTH_ENDS = [
    (2028, 4, 30), (2028, 5, 31), (2028, 6, 30), (2028, 7, 31), (2028, 8, 31), (2028, 9, 30),
    (2028, 10, 31), (2028, 11, 30), (2028, 12, 31), (2029, 1, 31),
]  # fmt: skip


@pytest.fixture
def clock(delivering):
    with moved(delivering) as clock:
        yield clock


@pytest.fixture
def person(clean_books):
    def person(name):
        return accounts.create_user(email=f"{name}@example.com")

    return person


def spend(user, credits):
    wallet = verbs.wallet_of(user=user.pk)
    verbs.spend(account=wallet, amount=credits * CREDIT, key=f"spent:{user.pk}:{datetime.now(UTC)}")


def has(user, credits, owed=0):
    verbs.expire(account=verbs.wallet_of(user=user.pk))
    balance = balance_of(user)
    assert (balance.available, balance.owed) == (credits * CREDIT, owed * CREDIT), user


def is_on(user, plan, status="active", until=None, grace=None):
    now = entitlements.current(user)
    end, grace_until = (when and datetime(*when, 10, tzinfo=UTC) for when in (until, grace))
    assert (now.plan.slug, now.status) == (plan, status), user
    if until:
        assert now.period_end == end, user
    assert now.grace_until == grace_until, user


def buy(fake, clock, user, quantity):
    order = checkout.open_credits(user, quantity)
    fake.pay(order.stripe_id)
    clock.deliver()
    return Payment.objects.get(object_id=order.stripe_id)


def upgrade(fake, user):
    subscription = fake.api.v1.subscriptions.retrieve(entitlements.current(user).subscription)
    [item] = subscription["items"].data
    dearer = PlanPrice.objects.get(plan__slug="max").stripe_id
    fake.api.v1.subscriptions.update(
        subscription.id,
        {"items": [{"id": item.id, "price": dearer}], "proration_behavior": "always_invoice"},
    )


def test_a_year(delivering, clock, person, plans):
    fake = delivering
    steady, climber, late, lost = map(person, ("steady", "climber", "late", "lost"))
    spender, disputer = map(person, ("spender", "disputer"))
    subscribers = (steady, climber, late, lost)

    clock.to(2028, 1, 31, 10)
    for user in subscribers:
        subscribe(fake, user, plans["pro"])
    clock.deliver()
    for user in subscribers:
        has(user, 100)
        is_on(user, "pro", until=(2028, 2, 29))
    bought = buy(fake, clock, spender, 100)
    first, second = (buy(fake, clock, disputer, 100) for _ in range(2))
    spend(steady, 30)
    spend(climber, 20)
    spend(spender, 50)
    has(spender, 50)
    has(disputer, 200)

    clock.to(2028, 2, 10)  # refunded after half was spent: 50 taken back, 50 owed
    refund(fake, bought)
    dispute = fake.dispute(charge_of(fake, first))["id"]
    clock.deliver()
    has(spender, 0, owed=50)
    has(disputer, 100)
    with pytest.raises(WalletFrozen):
        spend(spender, 1)

    # Half of 29 days: 4.50 of Pro back (50 credits), 14.50 of Max (200): 80 + 150.
    clock.to(2028, 2, 14, 22)
    upgrade(fake, climber)
    clock.deliver()
    has(climber, 230)
    is_on(climber, "max", until=(2028, 2, 29))

    clock.to(2028, 2, 20)  # one is lost, the other disputed, too
    fake.close_dispute(dispute, "lost")
    dispute = fake.dispute(charge_of(fake, second))["id"]
    clock.deliver()
    has(disputer, 0)
    for user in (late, lost):
        fake.replace_card(user.customer.stripe_id, DECLINES_LATER)

    clock.to(2028, 2, 29, 9, 59)
    has(steady, 70)
    has(late, 100)
    clock.to(2028, 2, 29, 10, 1)  # the leap day: renewals; two are declined
    has(steady, 100)
    is_on(steady, "pro", until=(2028, 3, 31))
    has(climber, 400)
    is_on(climber, "max", until=(2028, 3, 31))
    for user in (late, lost):
        has(user, 0)
        is_on(user, "pro", "past_due", until=(2028, 3, 31), grace=(2028, 3, 7))

    clock.to(2028, 3, 1)
    fake.close_dispute(dispute, "won")
    clock.deliver()
    has(disputer, 100)
    fake.replace_card(late.customer.stripe_id)
    clock.to(2028, 3, 3, 10, 1)  # Stripe tries again after three days
    has(late, 100)
    is_on(late, "pro", until=(2028, 3, 31))
    is_on(lost, "pro", "past_due", until=(2028, 3, 31), grace=(2028, 3, 7))

    clock.to(2028, 3, 7, 10, 1)  # the grace is over, and Stripe has not given up yet
    assert entitlements.lapse() == 1
    is_on(lost, "free")
    clock.to(2028, 3, 8, 10, 1)  # refused again after five days more, and after seven
    is_on(lost, "free")
    clock.to(2028, 3, 15, 10, 1)
    is_on(lost, "free")
    has(lost, 0)

    clock.to(2028, 3, 31, 10, 1)
    for user, credits in ((steady, 100), (climber, 400), (late, 100), (lost, 0)):
        has(user, credits)
        is_on(user, entitlements.current(user).plan.slug)
    is_on(steady, "pro", until=(2028, 4, 30))

    clock.to(2028, 4, 5)  # 60 bought: 50 settle what is owed
    buy(fake, clock, spender, 60)
    has(spender, 10)

    for month, (when, until) in enumerate(
        zip(MONTH_ENDS, [*MONTH_ENDS[1:], (2029, 2, 28)], strict=True)
    ):
        spend(steady, 30 + month)
        has(steady, 70 - month)
        clock.to(*when, 10, 1)
        has(steady, 100 if when != (2029, 1, 31) else 0)
        has(climber, 400)
        has(late, 100)
        has(lost, 0)
        has(spender, 10)
        has(disputer, 100)
        is_on(climber, "max", until=until)
        if when == (2028, 12, 31):  # the last month begins, and no other after it
            id = entitlements.current(steady).subscription
            fake.api.v1.subscriptions.update(id, {"cancel_at_period_end": True})
            clock.deliver()
            is_on(steady, "pro", until=until)
            assert entitlements.current(steady).cancel_at == datetime(2029, 1, 31, 10, tzinfo=UTC)
    is_on(steady, "free")

    failed = Letter.objects.filter(template="payment_failed")
    assert failed.filter(user=late).count() == 1
    assert failed.filter(user=lost).count() == 4, "one an attempt: at once, after 3, 5 and 7 days"
    canceled = Letter.objects.filter(template="subscription_canceled")
    assert [canceled.filter(user=user).count() for user in (steady, lost, late)] == [2, 1, 0]
    paid = Payment.objects.filter(user=steady)
    assert (paid.count(), sum(one.paid for one in paid)) == (12, 12 * 900)
    for payment in Payment.objects.all():
        assert payments.adjust(payment).revision == payment.revision
    said = StringIO()
    call_command("reconcile", stripe=True, stdout=said)
    assert "paid objects at Stripe" in said.getvalue()
