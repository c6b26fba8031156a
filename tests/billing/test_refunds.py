"""What is paid back is taken back, in proportion; what was spent already is owed."""

import pytest

from billing import checkout, payments
from billing.gateway.mirror import fetch
from billing.gateway.moments import moment
from billing.models import Letter, Payment
from billing.payments import paid, sessions
from common.errors import WalletFrozen
from ledger import verbs
from ledger.balances import balance_of
from tests.billing.stripe_world import CREDIT, in_threads, refund, subscribe

EXPAND = ["payment_intent.latest_charge"]


@pytest.fixture
def bought(fake_stripe, user):
    """100 credits for 10.00."""
    order = checkout.open_credits(user, 100)
    fake_stripe.pay(order.stripe_id)
    return payments.apply_session(order.stripe_id)


def test_refunds_revoke_in_proportion_and_add_up(fake_stripe, user, bought):
    assert bought.paid == 1000
    for cents, left in ((250, 75), (1, 75), (99, 65)):
        refund(fake_stripe, bought, cents)
        payments.adjust(bought)
        payments.adjust(bought)
        # 251 of 1000 are 25.1 credits: the part is of the whole, so nothing is rounded twice.
        expected = 100 * CREDIT - 100 * CREDIT * Payment.objects.get().refunded // 1000
        assert balance_of(user).available == expected
        assert expected // CREDIT == left if cents != 1 else 74
    refund(fake_stripe, bought)
    payment = payments.adjust(bought)
    assert (payment.refunded, payment.revoked) == (1000, 100 * CREDIT)
    assert balance_of(user).posted == 0
    assert Letter.objects.filter(template="refunded").count() == 4


def test_a_refund_after_half_was_spent_leaves_a_debt_that_freezes(fake_stripe, user, bought):
    wallet = verbs.wallet_of(user=user.pk)
    verbs.spend(account=wallet, amount=50 * CREDIT, key="spent")
    refund(fake_stripe, bought)
    payments.adjust(bought)
    assert (balance_of(user).posted, balance_of(user).owed) == (0, 50 * CREDIT)
    assert Letter.objects.filter(template="wallet_frozen").count() == 1
    with pytest.raises(WalletFrozen):
        verbs.spend(account=wallet, amount=1, key="refused")
    order = checkout.open_credits(user, 80)
    fake_stripe.pay(order.stripe_id)
    payments.apply_session(order.stripe_id)
    assert (balance_of(user).available, balance_of(user).owed) == (30 * CREDIT, 0)


def test_a_refund_that_came_before_the_grant_counts(fake_stripe, user):
    order = checkout.open_credits(user, 100)
    fake_stripe.pay(order.stripe_id)
    [intent] = fake_stripe.api.v1.payment_intents.list().data
    fake_stripe.api.v1.refunds.create({"payment_intent": intent.id, "amount": 400})
    payments.apply_changed_intent(intent.id)  # the refund's event, and no other
    assert balance_of(user).available == 60 * CREDIT
    payments.apply_session(order.stripe_id)
    assert balance_of(user).available == 60 * CREDIT


def test_a_refund_whose_charge_is_by_an_invoice(fake_stripe, user, plans):

    subscribe(fake_stripe, user, plans["pro"])
    [intent] = fake_stripe.api.v1.payment_intents.list().data
    fake_stripe.api.v1.refunds.create({"payment_intent": intent.id, "amount": 300})
    payments.apply_changed_intent(intent.id)
    payment = Payment.objects.get()
    assert (payment.granted, payment.revoked) == (100 * CREDIT, 100 * CREDIT * 300 // 900)
    assert balance_of(user).posted == payment.granted - payment.revoked


def test_many_at_once_revoke_once(fake_stripe, user, bought):
    refund(fake_stripe, bought, 500)
    in_threads([lambda: payments.adjust(bought)] * 12, threads=6)
    assert balance_of(user).available == 50 * CREDIT
    assert Payment.objects.get().revision == 1


def test_an_answer_that_is_older_than_what_is_known_is_not_used(fake_stripe, user, bought):
    """Somebody asks, is held up, and comes last; meanwhile a refund was seen."""
    asked = moment()
    stale = sessions._look(fetch("checkout.session", bought.object_id, EXPAND))
    refund(fake_stripe, bought, 500)
    payments.adjust(bought)
    paid.write(stale, asked)
    assert balance_of(user).available == 50 * CREDIT
    # The control: without that comparison the refund is undone.
    Payment.objects.update(looked_at=None)
    paid.write(stale, asked)
    assert balance_of(user).available == 100 * CREDIT
    payments.adjust(bought)
    assert balance_of(user).available == 50 * CREDIT
