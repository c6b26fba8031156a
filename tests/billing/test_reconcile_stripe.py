"""``bin/manage reconcile --stripe`` tells every difference there can be between Stripe's books and
ours, and none where there is none."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from billing import checkout, payments
from billing.models import Customer, Order, Payment
from ledger import verbs
from ledger.reconcile import reconcile
from tests.billing.stripe_world import CREDIT, charge_of, invoices_of, refund, subscribe


def compared():
    """The exit status, and what was printed."""
    said = StringIO()
    try:
        call_command("reconcile", stripe=True, stdout=said)
    except SystemExit as end:
        return end.code, said.getvalue().strip().splitlines()
    return 0, said.getvalue().strip().splitlines()


@pytest.fixture
def bought(fake_stripe, user):
    order = checkout.open_credits(user, 100)
    fake_stripe.pay(order.stripe_id)
    return payments.apply_session(order.stripe_id)


def test_everything_that_agrees(fake_stripe, user, plans, bought):
    subscription = subscribe(fake_stripe, user, plans["pro"])
    for invoice in invoices_of(fake_stripe, subscription):
        payments.apply_invoice(invoice)
    refund(fake_stripe, bought, 100)
    payments.adjust(bought)
    order = checkout.open_credits(user, 50)
    fake_stripe.pay(order.stripe_id, card="4000000000000259")
    payments.apply_session(order.stripe_id)
    status, [said] = compared()
    assert status == 0
    assert "3 paid objects at Stripe, 3 payments here" in said


def test_paid_and_not_granted(fake_stripe, user, plans):
    order = checkout.open_credits(user, 100)
    fake_stripe.pay(order.stripe_id)
    subscription = subscribe(fake_stripe, user, plans["pro"])
    status, lines = compared()
    assert status == 1
    assert len(lines) == 2
    [invoice] = invoices_of(fake_stripe, subscription)
    for id, line in zip((order.stripe_id, invoice), lines, strict=True):
        assert line.startswith(id)
        assert line.endswith("nothing is granted here")


def test_paid_otherwise_than_ordered(fake_stripe, user):
    order = checkout.open_credits(user, 100)
    Order.objects.filter(pk=order.pk).update(amount=5)
    fake_stripe.pay(order.stripe_id)
    payments.apply_session(order.stripe_id)
    status, [line] = compared()
    assert status == 1
    assert "nothing granted: paid for 1000, ordered for 5 usd" in line


def test_undone_there_and_not_here(fake_stripe, bought):
    refund(fake_stripe, bought, 500)
    status, lines = compared()
    assert status == 1
    assert "500 refunded and 0 disputed there; here 0 and 0" in lines[0]
    assert "50.000000 credits are to be revoked, 0.000000 are" in lines[1]
    payments.adjust(bought)
    assert compared()[0] == 0
    refund(fake_stripe, bought)
    payments.adjust(bought)
    assert compared()[0] == 0


def test_a_dispute_there_and_not_here(fake_stripe, bought):
    fake_stripe.dispute(charge_of(fake_stripe, bought))
    status, lines = compared()
    assert (status, len(lines)) == (1, 2)
    payments.adjust(bought)
    assert compared()[0] == 0


def test_other_amounts_here(fake_stripe, bought):
    Payment.objects.update(paid=999)
    assert "here it says 999 usd" in compared()[1][0]
    Payment.objects.update(paid=1000, granted=99 * CREDIT)
    lines = compared()[1]
    assert any("its lots were made with" in line for line in lines)  # plain reconcile
    assert any("the payment says 99.000000" in line for line in lines)
    assert any("99.000000 are granted" in line for line in lines)
    Payment.objects.update(granted=100 * CREDIT)
    assert compared()[0] == 0


def test_granted_here_and_unknown_there(fake_stripe, user, bought):
    fake_stripe.reset()
    status, [line] = compared()
    assert status == 1
    assert "Stripe shows nothing paid" in line


def test_paid_by_somebody_who_is_no_customer_any_more(fake_stripe, user):
    order = checkout.open_credits(user, 100)
    fake_stripe.pay(order.stripe_id)
    Customer.objects.all().delete()
    assert payments.apply_session(order.stripe_id) is None
    [line] = compared()[1]
    assert "who is no customer here" in line


def test_another_products_customers_are_left_alone(fake_stripe, user):
    stranger = fake_stripe.api.v1.customers.create({"email": "stranger@example.com"})
    session = fake_stripe.api.v1.checkout.sessions.create(
        {
            "mode": "payment",
            "customer": stranger.id,
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": "usd",
                        "unit_amount": 700,
                        "product_data": {"name": "A mug"},
                    },
                }
            ],
            "success_url": "https://shop.test/",
        }
    )
    fake_stripe.pay(session.id)
    assert compared()[0] == 0


def test_plain_reconcile_finds_a_grant_without_a_payment(clean_books, user):
    wallet = verbs.wallet_of(user=user.pk)
    verbs.grant(account=wallet, amount=5, kind="purchase", key="stripe:session:cs_forged")
    [line] = reconcile().violations
    assert "stripe:session:cs_forged" in line
    assert "there is no payment for it" in line


def test_plain_reconcile_finds_wrong_sums_of_a_payment(fake_stripe, user, bought):
    Payment.objects.update(revoked=1)
    [line] = reconcile().violations
    assert "revoked is 1" in line
    Payment.objects.update(revoked=0)


def test_without_stripe_it_says_so(clean_books, settings):
    settings.STRIPE_SECRET_KEY = ""
    with pytest.raises(CommandError, match="--stripe: This deployment takes no payments"):
        call_command("reconcile", stripe=True, stdout=StringIO())
