"""Somebody who has paid leaves: nothing of them is left in any table, and Stripe forgets them."""

import io
import json

import pytest
from djstripe import models as tables

from accounts import leaving
from accounts import verbs as accounts
from accounts.models import User
from billing import checkout, closing
from billing.gateway.mirror import refresh
from billing.models import Customer, Order, Payment, TopUp
from billing.tasks import close_customers, forget_strangers
from ledger import sweep
from ledger.balances import balance_of
from tests.accounts.history import found_anywhere
from tests.billing.staff import buy, do, page_of, subscribe

EMAIL = "ada.lovelace@example.com"
MIRRORED = (
    tables.Customer, tables.Subscription, tables.Invoice, tables.Session, tables.Charge,
    tables.Refund, tables.Dispute, tables.PaymentIntent, tables.PaymentMethod,
)  # fmt: skip


@pytest.fixture
def ada(delivering):
    """A subscriber who has bought credits, had some refunded, and left a page open."""
    user = accounts.create_user(email=EMAIL)
    subscribe(delivering, user)
    payment = buy(delivering, user)
    delivering.api.v1.refunds.create({"payment_intent": payment.payment_intent, "amount": 100})
    delivering.settled()
    for method in delivering.api.v1.payment_methods.list({"customer": customer_of(user)}).data:
        refresh(tables.PaymentMethod, method.id)
    checkout.open_credits(user, 50)
    TopUp.objects.create(user=user, enabled=True, threshold=5_000_000, quantity=50, monthly_cap=100)
    return user


def close(delivering):
    """As beat does, a minute apart; answers how many are closed then."""
    assert close_customers() == 0
    delivering.settled()
    return close_customers()


def customer_of(user):
    return Customer.objects.get(user=user).stripe_id


def test_no_trace_is_left_here_or_at_stripe(delivering, ada):
    customer = customer_of(ada)
    page = Order.objects.get(user=ada, state="open")
    for word in (EMAIL, customer, page.url):
        assert found_anywhere(word), word
    export = io.BytesIO()
    leaving.write_export(ada, export)
    told = json.loads(export.getvalue())
    assert {order["state"] for order in told["orders"]} == {"paid", "open"}
    assert {payment["paid"] for payment in told["payments"]} == {"$9.00", "$10.00"}
    assert told["automatic_top_up"]["quantity"] == 50
    assert told["stripe"]["customer"] == customer
    assert len(told["stripe"]["invoices"]) == 1

    assert leaving.delete_account(user=ada)
    assert found_anywhere(EMAIL) == []
    for model in MIRRORED:
        assert not model.objects.exists(), model
    assert Customer.objects.get().closing_at is not None
    page.refresh_from_db()
    assert (page.state, page.url) == ("expired", "")
    assert not TopUp.objects.exists()

    assert close(delivering) == 1
    for word in (EMAIL, customer):
        assert found_anywhere(word) == [], word
    there = delivering.api.v1
    assert there.customers.retrieve(customer).deleted
    assert there.checkout.sessions.retrieve(page.stripe_id).status == "expired"
    states = [one.status for one in there.subscriptions.list({"status": "all"}).data]
    assert states == ["canceled"]
    assert Payment.objects.filter(user=ada).count() == 2  # the books' evidence
    assert closing.close_all() == 0
    assert not closing.close(ada.pk)


def test_stripe_away_is_tried_again_until_it_is_done(delivering, ada):
    customer = customer_of(ada)
    leaving.delete_account(user=ada)
    delivering.pause()
    for path in ("/v1/checkout/sessions", "/v1/subscriptions", "/v1/customers"):
        delivering.fault(path=path, status=503, times=50)
        assert close_customers() == 0
        delivering.clear_faults()
        assert Customer.objects.get().closing_at is not None
    assert close(delivering) == 1
    assert delivering.api.v1.customers.retrieve(customer).deleted


def test_whom_stripe_has_deleted_already_is_closed(delivering, ada):
    delivering.api.v1.customers.delete(customer_of(ada))
    leaving.delete_account(user=ada)
    assert close_customers() == 1
    assert not Customer.objects.exists()


def test_a_payment_that_crosses_goes_into_the_closed_wallet(delivering, ada, admin):
    """The page was paid at the moment they left: it is seen by staff, who pay it back."""
    order = Order.objects.get(user=ada, state="open")
    leaving.delete_account(user=ada)
    delivering.pay(order.stripe_id)
    delivering.settled()
    payment = Payment.objects.get(object_id=order.stripe_id)
    sweep.expire_lots()
    assert balance_of(User.objects.get(pk=ada.pk)).posted == 0
    assert close(delivering) == 1
    assert found_anywhere(EMAIL) == []
    assert page_of(payment, "refund") in admin.get(page_of(payment)).content.decode()


def test_a_refund_after_all_is_over_is_written_down(delivering, ada, admin):
    leaving.delete_account(user=ada)
    close(delivering)
    payment = Payment.objects.filter(kind="credits").get()
    do(admin, page_of(payment, "refund"), amount="9")
    payment.refresh_from_db()
    assert payment.refunded == 1000
    assert not tables.Charge.objects.exists()


def test_open_pages_can_not_be_paid_any_more(delivering, ada):
    order = Order.objects.get(user=ada, state="open")
    leaving.delete_account(user=ada)
    close(delivering)
    session = delivering.api.v1.checkout.sessions.retrieve(order.stripe_id)
    assert session.status == "expired"


def test_what_is_heard_late_is_forgotten_within_a_day(delivering, ada, user):
    subscribe(delivering, user)
    customer = customer_of(ada)
    leaving.delete_account(user=ada)
    close(delivering)
    row = {"customer": customer, "id": "ch_late", "receipt_email": EMAIL}
    charge = tables.Charge.objects.create(
        id="ch_late", amount=1, currency="usd", status="succeeded", stripe_data=row
    )
    tables.Dispute.objects.create(id="dp_late", charge=charge, stripe_data={"charge": "ch_late"})
    kept = tables.Subscription.objects.count()
    forget_strangers()
    assert tables.Charge.objects.exists()  # it may be of a customer who is just being made
    for model in (tables.Charge, tables.Dispute, tables.Subscription, tables.Customer):
        model.objects.update(djstripe_updated="2026-01-01T00:00Z")
    assert forget_strangers() == 2
    assert not tables.Charge.objects.exists()
    assert tables.Subscription.objects.count() == kept == 1


def test_a_customer_made_while_they_left_is_closed_too(delivering, user):
    made = delivering.api.v1.customers.create({"email": user.email})
    leaving.delete_account(user=user)
    Customer.objects.create(user=user, stripe_id=made.id)
    assert close_customers() == 0
    forget_strangers()
    assert close(delivering) == 1
    assert delivering.api.v1.customers.retrieve(made.id).deleted


def test_others_keep_what_they_have(delivering, ada, user):
    row = subscribe(delivering, user)
    leaving.delete_account(user=ada)
    close(delivering)
    assert delivering.api.v1.subscriptions.retrieve(row.id).status == "active"
    assert tables.Subscription.objects.get().id == row.id
    assert not leaving.is_deleted(user)
