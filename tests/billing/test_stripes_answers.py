"""Answers of Stripe's that come seldom: each is taken for what it means."""

from datetime import timedelta

import pytest
from django.utils import timezone
from djstripe.models import Customer

from billing import checkout, payments, reconcile_stripe
from billing.errors import StripeUnavailable
from billing.following import SECOND, follow_subscription
from billing.gateway import mirror
from billing.models import Order, Plan, PlanPrice
from billing.payments.invoices import allowance_of
from billing.payments.sessions import mismatch
from tests.billing.buying import signed_in, with_key
from tests.billing.stripe_world import CREDIT, invoices_of, subscribe


@pytest.mark.parametrize(
    ("discount", "tax", "total", "right"),
    [
        (0, 190, 1190, True),
        (0, 160, 1000, True),  # in the price, as in most of Europe
        (100, 144, 900, True),
        (100, 171, 1071, True),
        (0, 0, 999, False),
        (0, 160, 840, False),
        (100, 160, 1000, False),
    ],
)
def test_taxes_come_on_top_or_are_in_the_price(fake_stripe, user, discount, tax, total, right):
    order = checkout.open_credits(user, 100)
    session = {
        "currency": "usd",
        "amount_subtotal": 1000,
        "amount_total": total,
        "total_details": {"amount_discount": discount, "amount_tax": tax},
    }
    assert (mismatch(session, order) == "") is right


def test_a_price_of_nothing_grants_nothing_and_stops_nothing(fake_stripe, user, plans):
    """Staff can make one at Stripe, with the mark of a plan's."""
    subscription = subscribe(fake_stripe, user, plans["pro"])
    [invoice] = invoices_of(fake_stripe, subscription)
    invoice = fake_stripe.api.v1.invoices.retrieve(invoice).to_dict()
    PlanPrice.objects.filter(plan=plans["pro"]).update(amount=0)
    assert allowance_of(invoice, invoice["lines"]["data"], {}) is None


def test_a_second_subscription_that_is_disputed(fake_stripe, user, plans):
    """Its money is with the bank already; the first one goes on all the same."""
    first = subscribe(fake_stripe, user, plans["pro"])
    second = another(fake_stripe, first)
    [charge, _] = fake_stripe.api.v1.charges.list().data
    fake_stripe.dispute(charge.id)
    for id in (first, second):
        for invoice in invoices_of(fake_stripe, id):
            payments.apply_invoice(invoice)
    user.refresh_from_db()
    assert user.entitlement.subscription == first
    assert fake_stripe.api.v1.subscriptions.retrieve(second).status == "canceled"


def test_a_refund_that_fails_is_made_up_for(fake_stripe, user, plans):
    """The second subscription is canceled then, and so no longer one that is live."""
    first = subscribe(fake_stripe, user, plans["pro"])
    second = another(fake_stripe, first)
    follow_subscription(first)
    fake_stripe.fault(method="POST", path="/v1/refunds", status=500, times=2)
    with pytest.raises(StripeUnavailable):
        follow_subscription(second)
    user.refresh_from_db()
    assert user.entitlement.subscription == first, "the plan that was paid holds all the same"
    assert fake_stripe.api.v1.subscriptions.retrieve(second).status == "canceled"
    assert not fake_stripe.api.v1.refunds.list().data

    for _ in range(2):
        follow_subscription(second)
    assert [one.amount for one in fake_stripe.api.v1.refunds.list().data] == [2900]


def test_reconcile_tells_of_a_second_subscription_that_is_not_refunded(fake_stripe, user, plans):
    first = subscribe(fake_stripe, user, plans["pro"])
    second = another(fake_stripe, first)
    for id in (first, second):
        [invoice] = invoices_of(fake_stripe, id)
        payments.apply_invoice(invoice)
    assert reconcile_stripe.compare()[1] == []
    third = another(fake_stripe, first)  # ended by hand, with the mark, and not paid back
    fake_stripe.api.v1.subscriptions.update(third, {"metadata": {SECOND: first}})
    fake_stripe.api.v1.subscriptions.cancel(third)
    fake_stripe.fault(method="POST", path="/v1/refunds", status=500, times=2)
    [invoice] = invoices_of(fake_stripe, third)
    with pytest.raises(StripeUnavailable):
        payments.apply_invoice(invoice)
    [line] = reconcile_stripe.compare()[1]
    assert invoice in line
    payments.apply_invoice(invoice)
    assert reconcile_stripe.compare()[1] == []


def another(fake, first):
    """A second subscription beside ``first``, to the dearer plan."""
    bought = fake.api.v1.subscriptions.retrieve(first)
    fake.advance(fake.now + timedelta(seconds=5))
    made = fake.api.v1.subscriptions.create(
        {
            "customer": bought.customer,
            "items": [{"price": PlanPrice.objects.get(plan__slug="max").stripe_id}],
            "default_payment_method": bought.default_payment_method,
            "metadata": dict(bought.metadata),
        }
    )
    return str(made.id)


def test_the_same_asked_twice_at_once_ends_no_order(fake_stripe, user):
    """Two clicks: Stripe refuses the second while it works on the first."""
    in_use = {"error": {"type": "idempotency_error", "code": "idempotency_key_in_use",
                        "message": "There is another request in progress."}}  # fmt: skip
    fake_stripe.fault(method="POST", path="/v1/checkout/sessions", status=409, times=2, body=in_use)
    with pytest.raises(StripeUnavailable):
        checkout.open_plan(user, Plan.objects.get(slug="pro"))
    assert Order.objects.get().state == "open"
    assert checkout.open_plan(user, Plan.objects.get(slug="pro")).url
    assert Order.objects.count() == 1


def test_a_clock_of_stripes_that_is_ahead(fake_stripe, user):
    """What is asked after it was made is newer than it, whatever it says of its making."""
    fake_stripe.advance(timezone.now() + timedelta(hours=1))
    made = fake_stripe.api.v1.customers.create({"email": user.email}).to_dict()
    mirror.keep(Customer, made)
    fake_stripe.api.v1.customers.update(made["id"], {"email": "new@example.com"})
    assert mirror.refresh(Customer, made["id"]).stripe_data["email"] == "new@example.com"


def test_a_key_sees_no_pages_of_invoices(fake_stripe, user, plans, api_key):
    """They name people and addresses, and need no other proof than the link."""
    [invoice] = invoices_of(fake_stripe, subscribe(fake_stripe, user, plans["pro"]))
    assert payments.apply_invoice(invoice).granted == 100 * CREDIT
    path = "/api/billing/invoices"
    [mine] = signed_in(user).get(path).json()["results"]
    assert mine["url"]
    assert mine["pdf"]
    [seen] = signed_in(user).get(path, headers=with_key(api_key.secret)).json()["results"]
    assert (seen["url"], seen["pdf"]) == (None, None)
    assert (seen["id"], seen["amount"]) == (mine["id"], mine["amount"])
    csv = signed_in(user).get(f"{path}?format=csv", headers=with_key(api_key.secret))
    assert fake_stripe.url not in csv.content.decode()
