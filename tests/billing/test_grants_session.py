"""Credits bought on the Checkout page: granted once, for what was ordered and no less."""

import pytest

from billing import checkout, payments
from billing.models import Customer, Letter, Order, Payment
from ledger.balances import balance_of
from ledger.models import Account, Grant, Transfer
from tests.billing.stripe_world import CREDIT
from tests.fakes.stripe.handle import Refused

State = Order.State


def state_of(order):
    return Order.objects.get(pk=order.pk).state


def test_a_paid_session_grants_once(fake_stripe, user):
    order = checkout.open_credits(user, 100)
    assert payments.apply_session(order.stripe_id) is None
    assert state_of(order) == State.OPEN
    fake_stripe.pay(order.stripe_id)
    for _ in range(3):
        payment = payments.apply_session(order.stripe_id)
    assert balance_of(user).available == 100 * CREDIT
    assert (payment.paid, payment.currency, payment.granted) == (order.amount, "usd", 100 * CREDIT)
    assert payment.payment_intent.startswith("pi_")
    assert state_of(order) == State.PAID
    transfer = Transfer.objects.get(key=f"stripe:session:{order.stripe_id}")
    assert (transfer.kind, transfer.amount) == ("purchase", 100 * CREDIT)
    assert Grant.objects.get(transfer=transfer).expires_at is None
    letter = Letter.objects.get(template="receipt")
    assert letter.about["invoice_url"].startswith(fake_stripe.url)  # Stripe's receipt


def test_webhooks_do_the_same(delivering, user):
    order = checkout.open_credits(user, 40)
    delivering.pay(order.stripe_id)
    delivering.settled()
    assert balance_of(user).available == 40 * CREDIT
    assert {d["state"] for d in delivering.deliveries()["deliveries"]} == {"delivered"}


def test_a_declined_card_grants_nothing_and_the_page_stays(fake_stripe, user):
    order = checkout.open_credits(user, 100)
    with pytest.raises(Refused):
        fake_stripe.pay(order.stripe_id, card="4000000000000002")
    payments.apply_session(order.stripe_id)
    assert (state_of(order), balance_of(user).posted) == (State.OPEN, 0)
    fake_stripe.pay(order.stripe_id)
    payments.apply_session(order.stripe_id)
    assert balance_of(user).posted == 100 * CREDIT


def test_a_session_that_runs_out(fake_stripe, user):
    order = checkout.open_credits(user, 100)
    fake_stripe.expire(order.stripe_id)
    payments.apply_session(order.stripe_id)
    assert state_of(order) == State.EXPIRED
    assert not Payment.objects.exists()


def test_a_delayed_payment_waits_for_the_money(fake_stripe, user):
    arrives, fails = (checkout.open_credits(user, 10) for _ in range(2))
    for order in (arrives, fails):
        fake_stripe.pay(order.stripe_id, card="delayed")
        payments.apply_session(order.stripe_id)
        assert (state_of(order), balance_of(user).posted) == (State.PENDING, 0)
    fake_stripe.end_delayed(arrives.stripe_id, "succeeded")
    fake_stripe.end_delayed(fails.stripe_id, "failed")
    for order in (arrives, fails):
        payments.apply_session(order.stripe_id)
    assert (state_of(arrives), state_of(fails)) == (State.PAID, State.FAILED)
    assert balance_of(user).posted == 10 * CREDIT


@pytest.mark.parametrize(
    "change",
    [{"amount": 1001}, {"currency": "eur"}, {"amount": 1}],
    ids=["more was ordered", "another currency", "less was ordered"],
)
def test_paid_otherwise_than_ordered_grants_nothing(fake_stripe, user, change):
    order = checkout.open_credits(user, 100)
    Order.objects.filter(pk=order.pk).update(**change)
    fake_stripe.pay(order.stripe_id)
    assert payments.apply_session(order.stripe_id) is None
    order.refresh_from_db()
    assert (order.state, balance_of(user).posted) == (State.FAILED, 0)
    assert "ordered" in order.failure
    assert not Payment.objects.exists()


def test_a_session_made_elsewhere_for_a_customer_of_ours_grants_nothing(fake_stripe, user):
    order = checkout.open_credits(user, 100)
    customer = Customer.objects.get(user=user).stripe_id
    foreign = fake_stripe.api.v1.checkout.sessions.create(
        {
            "mode": "payment",
            "customer": customer,
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": "usd",
                        "unit_amount": 100,
                        "product_data": {"name": "A mug"},
                    },
                }
            ],
            "success_url": "https://shop.test/",
        }
    )
    fake_stripe.pay(foreign.id)
    assert payments.apply_session(foreign.id) is None
    assert (state_of(order), balance_of(user).posted) == (State.OPEN, 0)


def test_another_persons_order_in_the_metadata_grants_nothing(fake_stripe, user, make_wallet):
    order = checkout.open_credits(user, 100)
    wallet = make_wallet()
    Order.objects.filter(pk=order.pk).update(user=Account.objects.get(pk=wallet).owner_id)
    fake_stripe.pay(order.stripe_id)
    assert payments.apply_session(order.stripe_id) is None
    assert not Payment.objects.exists()


def test_a_promotion_code_takes_nothing_off_the_credits(fake_stripe, user, settings):
    settings.STRIPE_PROMOTION_CODES = True
    order = checkout.open_credits(user, 100)
    coupon = fake_stripe.api.v1.coupons.create({"percent_off": 100, "duration": "once"})
    fake_stripe.api.v1.promotion_codes.create(
        {"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "FREE100"}
    )
    fake_stripe.pay(order.stripe_id, promotion_code="FREE100")
    payment = payments.apply_session(order.stripe_id)
    assert (payment.paid, balance_of(user).posted) == (0, 100 * CREDIT)
