"""A dispute takes back while it is open and when it is lost; one that is won restores."""

from datetime import timedelta

import pytest

from billing import checkout, payments
from billing.models import Letter, Payment
from ledger import verbs
from ledger.balances import balance_of
from ledger.models import Grant
from tests.billing.stripe_world import CREDIT, charge_of, invoices_of, refund, subscribe


@pytest.fixture
def bought(fake_stripe, user):
    order = checkout.open_credits(user, 100)
    fake_stripe.pay(order.stripe_id)
    return payments.apply_session(order.stripe_id)


def seen(payment):
    payment = payments.adjust(payment)
    return payment.refunded, payment.disputed, payment.revoked // CREDIT


def test_a_dispute_that_is_lost(fake_stripe, user, bought):
    dispute = fake_stripe.dispute(charge_of(fake_stripe, bought))["id"]
    assert seen(bought) == (0, 1000, 100)
    assert balance_of(user).posted == 0
    fake_stripe.close_dispute(dispute, "lost")
    assert seen(bought) == (0, 1000, 100)
    assert balance_of(user).posted == 0


def test_a_dispute_that_is_won_restores_once(fake_stripe, user, bought):
    dispute = fake_stripe.dispute(charge_of(fake_stripe, bought))["id"]
    assert seen(bought) == (0, 1000, 100)
    fake_stripe.close_dispute(dispute, "won")
    for _ in range(3):
        assert seen(bought) == (0, 0, 0)
    assert balance_of(user).available == 100 * CREDIT
    assert Payment.objects.get().lots.count() == 2


def test_a_dispute_is_told_once_and_its_end_too(fake_stripe, user, bought):
    told = Letter.objects.filter(template="disputed")
    dispute = fake_stripe.dispute(charge_of(fake_stripe, bought))["id"]
    seen(bought), seen(bought)
    assert told.get().about["credits"] == "100 credits"
    fake_stripe.close_dispute(dispute, "won")
    seen(bought), seen(bought)
    assert [letter.about["over"] for letter in told.order_by("created")] == [False, True]


def test_a_dispute_of_a_part_and_a_refund_add_up(fake_stripe, user, bought):
    refund(fake_stripe, bought, 300)
    assert seen(bought) == (300, 0, 30)
    dispute = fake_stripe.dispute(charge_of(fake_stripe, bought), 500)["id"]
    assert seen(bought) == (300, 500, 80)
    fake_stripe.close_dispute(dispute, "won")
    assert seen(bought) == (300, 0, 30)
    assert balance_of(user).available == 70 * CREDIT


def test_a_dispute_after_spending_freezes_and_winning_it_thaws(fake_stripe, user, bought):
    wallet = verbs.wallet_of(user=user.pk)
    verbs.spend(account=wallet, amount=60 * CREDIT, key="spent")
    dispute = fake_stripe.dispute(charge_of(fake_stripe, bought))["id"]
    assert seen(bought) == (0, 1000, 100)
    assert (balance_of(user).posted, balance_of(user).owed) == (0, 60 * CREDIT)
    fake_stripe.close_dispute(dispute, "won")
    assert seen(bought) == (0, 0, 0)
    assert (balance_of(user).available, balance_of(user).owed) == (40 * CREDIT, 0)


def test_what_had_lapsed_unused_is_not_given_back(fake_stripe, user, plans, bought):
    """The allowance ran out unused, then was disputed, and the dispute was won."""

    subscription = subscribe(fake_stripe, user, plans["pro"])
    [invoice] = invoices_of(fake_stripe, subscription)
    payment = payments.apply_invoice(invoice)
    wallet = verbs.wallet_of(user=user.pk)
    verbs.spend(account=wallet, amount=30 * CREDIT, key="spent")  # of the allowance
    Grant.objects.filter(kind="allowance").update(expires_at=payment.period_start)
    assert verbs.expire(account=wallet).amount == 70 * CREDIT
    dispute = fake_stripe.dispute(charge_of(fake_stripe, payment))["id"]
    assert payments.adjust(payment).revoked == 100 * CREDIT
    assert balance_of(user).available == 70 * CREDIT  # 30 were taken from what was bought
    fake_stripe.close_dispute(dispute, "won")
    assert payments.adjust(payment).revoked == 0
    verbs.expire(account=wallet)
    assert balance_of(user).available == 100 * CREDIT
    restored = Grant.objects.filter(kind="allowance", remaining__gt=0).get()
    left = restored.expires_at - restored.created
    assert timedelta(days=29) < left <= timedelta(days=30)
