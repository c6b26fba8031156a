"""Automatic top-up, off session: bought when low, once, and what happens when it is not paid."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import User
from billing import payments, topping_up, topup
from billing.models import Customer, Letter, Order, Payment, TopUp
from ledger import verbs
from ledger.models import Account, Transfer
from tests import mails
from tests.billing.topups import (
    AUTHENTICATES,
    CREDIT,
    FAILS_LATER,
    PAYS,
    attempts,
    buy,
    card_of,
    credits_of,
    spend_to,
    switch_on,
    waits_until,
)

NOW = timezone.now
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def rider(fake_stripe, user):
    """Who bought 20 credits, has top-up on (50 below 5, 200 a month) and 4 credits left."""
    buy(fake_stripe, user)
    switch_on(user)
    spend_to(user, 4)
    return user


def intents(fake):
    """The payment intents of top-ups at Stripe."""
    found = fake.api.v1.payment_intents.list({"limit": 100}).data
    return [one for one in found if one.metadata.to_dict().get("farebox_kind") == "top_up"]


def subjects(user):
    return [str(mail.subject) for mail in mails.to(user.email) if "Receipt" not in mail.subject]


def test_a_low_wallet_is_topped_up(fake_stripe, rider):
    assert topup.shown(rider).state == "ready"
    assert topping_up.due() == [rider.pk]
    assert topping_up.attend(rider.pk) == 1
    assert credits_of(rider) == 54
    (intent,) = intents(fake_stripe)
    order = Order.objects.get(kind="top_up")
    assert (intent.amount, intent.currency, intent.status) == (order.amount, "usd", "succeeded")
    assert (order.state, order.stripe_id, order.quantity) == ("paid", intent.id, 50)
    transfer = Transfer.objects.get(key=f"stripe:payment_intent:{intent.id}")
    assert (transfer.kind, transfer.amount) == ("purchase", 50 * CREDIT)
    assert Payment.objects.get(object_id=intent.id).kind == "top_up"
    shown = topup.shown(rider)
    assert (shown.state, shown.month_quantity, shown.month_amount) == ("ready", 50, order.amount)
    assert topping_up.due() == []
    assert subjects(rider) == ["Automatic top-up: $5.00"]


def test_a_wallet_that_is_not_low_is_left_alone(fake_stripe, rider):
    buy(fake_stripe, rider, 10)
    assert topping_up.attend(rider.pk) == 0
    assert attempts(rider) == []


def test_lifted_it_is_armed_again(fake_stripe, rider):
    topping_up.attend(rider.pk)
    spend_to(rider, 5)
    assert topping_up.attend(rider.pk) == 0
    spend_to(rider, 4)
    assert topping_up.attend(rider.pk) == 1
    assert attempts(rider) == ["paid", "paid"]


def test_who_is_low_when_it_is_switched_on_is_topped_up(fake_stripe, user):
    buy(fake_stripe, user)
    spend_to(user, 1)
    switch_on(user)
    assert topping_up.attend(user.pk) == 1
    assert credits_of(user) == 51


def test_one_bundle_is_not_enough_for_a_big_spender(fake_stripe, user):
    buy(fake_stripe, user)
    switch_on(user, threshold=100, quantity=30, cap=300)
    assert topping_up.attend(user.pk) == 3
    assert credits_of(user) == 110


def test_the_monthly_cap_ends_it_until_the_month_does(fake_stripe, user):
    buy(fake_stripe, user)
    switch_on(user, threshold=100, quantity=30, cap=60)
    assert topping_up.attend(user.pk) == 2
    assert credits_of(user) == 80
    shown = topup.shown(user)
    assert (shown.state, shown.month_quantity) == ("waiting", 60)
    assert shown.next_try_at == topup.month_end(NOW())
    assert shown.message == "This month's cap is reached."
    assert topping_up.due() == []
    assert "Your balance is low: 80 credits left" in subjects(user)
    Order.objects.filter(kind="top_up").update(created=NOW() - 40 * DAY)
    assert topping_up.attend(user.pk, topup.month_end(NOW())) == 1


def test_a_higher_cap_counts_at_once(fake_stripe, user):
    buy(fake_stripe, user)
    switch_on(user, threshold=100, quantity=30, cap=60)
    topping_up.attend(user.pk)
    switch_on(user, threshold=100, quantity=30, cap=90)
    assert topping_up.attend(user.pk) == 1


def test_declines_wait_ever_longer_and_then_switch_it_off(fake_stripe, rider):
    card_of(fake_stripe, rider, FAILS_LATER)
    now = NOW()
    for number, pause in enumerate((HOUR, 6 * HOUR, 24 * HOUR), 1):
        assert topping_up.attend(rider.pk, now) == 0
        assert waits_until(rider) == now + pause
        assert topup.shown(rider).state == "waiting"
        assert topping_up.attend(rider.pk, now + pause - timedelta(seconds=1)) == 0
        assert attempts(rider) == ["failed"] * number
        assert rider.pk not in topping_up.due(now + pause - timedelta(seconds=1))
        now += pause
        assert topping_up.due(now) == [rider.pk]
    topping_up.attend(rider.pk, now)
    row = TopUp.objects.get(user=rider)
    assert (row.enabled, row.failures) == (False, 4)
    shown = topup.shown(rider)
    assert (shown.state, shown.message) == (
        "off", "Switched off after several payments were declined.",
    )  # fmt: skip
    assert subjects(rider) == ["An automatic top-up was declined"] * 3 + [
        "Automatic top-up is switched off"
    ]
    assert topping_up.due(now + 9 * DAY) == []
    assert credits_of(rider) == 4
    assert {intent.status for intent in intents(fake_stripe)} == {"canceled"}


def test_after_a_decline_it_may_be_paid_and_all_is_forgotten(fake_stripe, rider):
    card_of(fake_stripe, rider, FAILS_LATER)
    topping_up.attend(rider.pk)
    card_of(fake_stripe, rider, PAYS)
    assert topping_up.attend(rider.pk, NOW() + 2 * HOUR) == 1
    row = TopUp.objects.get(user=rider)
    assert (row.failures, row.failure, row.next_try_at) == (0, "", None)


def test_switching_it_on_again_tries_at_once(fake_stripe, rider):
    card_of(fake_stripe, rider, FAILS_LATER)
    topping_up.attend(rider.pk)
    card_of(fake_stripe, rider, PAYS)
    switch_on(rider)
    assert topping_up.attend(rider.pk) == 1


def test_a_bank_that_wants_the_owner_gets_a_page_by_mail(fake_stripe, rider):
    card_of(fake_stripe, rider, AUTHENTICATES)
    now = NOW()
    assert topping_up.attend(rider.pk, now) == 0
    (intent,) = intents(fake_stripe)
    assert intent.status == "canceled"
    approval = Order.objects.get(kind="credits", state="open")
    assert approval.quantity == 50
    shown = topup.shown(rider)
    assert (shown.state, shown.url, shown.next_try_at) == (
        "needs_authentication", approval.url, now + DAY,
    )  # fmt: skip
    assert subjects(rider) == ["Your bank wants you to approve a payment of $5.00"]
    assert approval.url in mails.text_of(mails.last_to(rider.email)).replace("\n", "")
    assert topping_up.attend(rider.pk, now + 23 * HOUR) == 0
    assert attempts(rider) == ["failed"]

    fake_stripe.pay(approval.stripe_id)
    payments.apply_session(approval.stripe_id)
    assert credits_of(rider) == 54
    assert topup.shown(rider).state == "ready"
    spend_to(rider, 3)
    assert topping_up.due() == [rider.pk]
    card_of(fake_stripe, rider, PAYS)
    assert topping_up.attend(rider.pk) == 1
    assert TopUp.objects.get(user=rider).failures == 0


def test_an_approval_that_nobody_gives_is_asked_for_again_a_day_later(fake_stripe, rider):
    card_of(fake_stripe, rider, AUTHENTICATES)
    now = NOW()
    topping_up.attend(rider.pk, now)
    topping_up.attend(rider.pk, now + DAY)
    assert len(subjects(rider)) == 2
    assert Order.objects.filter(kind="credits").exclude(state="paid").count() == 2


@pytest.mark.parametrize("outage", [{"status": 500}, {"drop": True}, {"status": 429}])
def test_stripe_away_is_tried_again_and_nothing_is_lost(fake_stripe, rider, outage):
    fake_stripe.fault(method="POST", path="/v1/payment_intents", times=2, **outage)
    now = NOW()
    assert topping_up.attend(rider.pk, now) == 0
    assert topup.shown(rider).state == "pending"
    assert waits_until(rider) == now + timedelta(minutes=1)
    assert subjects(rider) == []
    fake_stripe.clear_faults()
    assert topping_up.attend(rider.pk, now + timedelta(minutes=2)) == 1
    assert attempts(rider) == ["paid"]
    assert len(intents(fake_stripe)) == 1


def test_an_answer_that_was_lost_is_found_again_though_the_card_changed(fake_stripe, rider):
    """As when the process dies between the question and the answer."""
    fake_stripe.fault(method="POST", path="/v1/payment_intents", times=2, status=500, after=True)
    now = NOW()
    assert topping_up.attend(rider.pk, now) == 0
    assert Order.objects.get(kind="top_up").stripe_id is None
    fake_stripe.clear_faults()
    card_of(fake_stripe, rider, "5555555555554444")
    assert topping_up.attend(rider.pk, now + timedelta(minutes=2)) == 1
    assert len(intents(fake_stripe)) == 1
    assert credits_of(rider) == 54


def test_a_process_that_died_is_followed_after_a_while(fake_stripe, rider):
    order = topping_up._claim(rider.pk, NOW())
    assert order is not None
    assert topping_up.attend(rider.pk) == 0, "another may be at it"
    assert topping_up.attend(rider.pk, NOW() + HOUR) == 1
    assert attempts(rider) == ["paid"]


def test_a_webhook_that_is_faster(fake_stripe, rider):
    order = topping_up._claim(rider.pk, NOW())
    intent = topping_up._intent(order, NOW())
    payments.apply_payment_intent(intent["id"])  # as its webhook does
    assert attempts(rider) == ["paid"]
    topping_up._pay(order, NOW())
    assert credits_of(rider) == 54
    assert Payment.objects.filter(kind="top_up").count() == 1
    assert Letter.objects.filter(template="receipt").count() == 2


def test_a_decline_that_only_the_webhook_told_of_is_counted_once(fake_stripe, rider):
    card_of(fake_stripe, rider, FAILS_LATER)
    order = topping_up._claim(rider.pk, NOW())
    intent = topping_up._intent(order, NOW())
    topping_up._give_up(intent)
    payments.apply_payment_intent(intent["id"])  # it is canceled: the order fails
    assert attempts(rider) == ["failed"]
    later = NOW() + HOUR
    assert topping_up.attend(rider.pk, later) == 0
    assert (TopUp.objects.get(user=rider).failures, waits_until(rider)) == (1, later + HOUR)
    topping_up._declined(order, "card_declined", later)
    assert TopUp.objects.get(user=rider).failures == 1


def test_webhooks_and_the_answer_together_grant_once(delivering, user):
    buy(delivering, user)
    switch_on(user)
    spend_to(user, 4)
    assert topping_up.attend(user.pk) == 1
    delivering.settled()
    assert credits_of(user) == 54
    assert Payment.objects.filter(kind="top_up").count() == 1


def test_a_payment_that_takes_days(delivering, user):
    buy(delivering, user)
    switch_on(user)
    spend_to(user, 4)
    card_of(delivering, user, "delayed")
    now = NOW()
    assert topping_up.attend(user.pk, now) == 0
    assert attempts(user) == ["pending"]
    assert topup.shown(user).state == "pending"
    assert topping_up.attend(user.pk, now + 2 * HOUR) == 0
    assert attempts(user) == ["pending"], "and no second one meanwhile"


def test_without_a_card_any_more(fake_stripe, rider):
    customer = Customer.objects.get(user=rider).stripe_id
    for card in fake_stripe.api.v1.customers.payment_methods.list(customer).data:
        fake_stripe.api.v1.payment_methods.detach(card.id)
    assert topping_up.attend(rider.pk) == 0
    assert subjects(rider) == ["An automatic top-up was declined"]
    assert "there is no saved card any more" in mails.text_of(mails.last_to(rider.email))


def test_a_customer_who_is_gone_from_stripe(fake_stripe, rider):
    fake_stripe.api.v1.customers.delete(Customer.objects.get(user=rider).stripe_id)
    assert topping_up.attend(rider.pk) == 0
    assert attempts(rider) == ["failed"]


def test_switched_off_nothing_is_bought_and_what_is_open_is_ended(fake_stripe, rider):
    order = topping_up._claim(rider.pk, NOW())
    topup.switch_off(rider)
    assert topup.shown(rider).state == "pending"
    assert topping_up.attend(rider.pk, NOW() + HOUR) == 1
    order.refresh_from_db()
    assert order.state == "paid"
    spend_to(rider, 3)
    assert topping_up.due(NOW() + DAY) == []
    assert topping_up.attend(rider.pk, NOW() + DAY) == 0
    assert topup.shown(rider).state == "off"


def test_another_bundle_while_one_is_paid_for(fake_stripe, rider):
    topping_up._claim(rider.pk, NOW())
    switch_on(rider, quantity=100)
    assert waits_until(rider) is not None, "whoever is at it stays alone"
    topping_up.attend(rider.pk, NOW() + HOUR)
    assert credits_of(rider) == 54


def test_a_frozen_wallet_is_not_topped_up(fake_stripe, user, wallet, fund):
    lot = fund(wallet, 100 * CREDIT)
    buy(fake_stripe, user)
    switch_on(user)
    spend_to(user, 4)
    verbs.revoke(grant=lot.grant, amount=100 * CREDIT, key="refund")
    assert Account.objects.get(pk=wallet).owed
    assert topping_up.due() == []
    assert topping_up.attend(user.pk) == 0
    assert topup.shown(user).state == "waiting"


def test_whoever_disputes_is_not_charged(fake_stripe, rider):
    Payment.objects.update(disputed=1)
    assert topping_up.attend(rider.pk) == 0
    assert attempts(rider) == []
    assert "disputed" in topup.shown(rider).message


def test_somebody_shut_out_is_not_charged(fake_stripe, rider):
    User.objects.update(is_active=False)
    assert topping_up.attend(rider.pk) == 0
    assert attempts(rider) == []


def test_what_can_no_longer_be_bought(fake_stripe, rider, settings):
    settings.CREDITS_MOST = 40
    assert topping_up.attend(rider.pk) == 0
    assert "can't be bought now" in topup.shown(rider).message


def test_in_the_demo_it_grants_at_once_and_says_so(proved, user, wallet, fund, settings):
    settings.ENABLE_PAYMENTS = False
    fund(wallet, 20 * CREDIT)
    switch_on(user)
    spend_to(user, 4)
    assert topping_up.attend(user.pk) == 1
    assert credits_of(user) == 54
    assert (Order.objects.get().demo, Payment.objects.get().demo) == (True, True)
    assert subjects(user) == ["Demo: Automatic top-up: $5.00"]


def test_an_order_of_the_demo_is_not_paid_for_when_payments_begin(fake_stripe, user, settings):
    settings.ENABLE_PAYMENTS = False
    verbs.grant(account=verbs.wallet_of(user=user.pk), amount=CREDIT, kind="promotion", key="p")
    switch_on(user)
    topping_up._claim(user.pk, NOW())
    settings.ENABLE_PAYMENTS = True
    assert topping_up.attend(user.pk, NOW() + HOUR) == 0
    assert (Order.objects.get().state, credits_of(user)) == ("expired", 1)
    assert intents(fake_stripe) == []
