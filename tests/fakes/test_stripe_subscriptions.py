"""Subscriptions at the fake Stripe: start, renewal, month ends, decline, cancellation, trial."""

from __future__ import annotations

from datetime import timedelta

import pytest
import stripe

from tests.fakes.stripe.handle import DECLINED, PAYS
from tests.fakes.stripe.shop import Shop, utc

FAILS_LATER = "4000000000000341"
AUTHENTICATES = "4000002500003155"
PAID = [
    "invoice.created",
    "invoice.finalized",
    "payment_intent.created",
    "charge.succeeded",
    "payment_intent.succeeded",
    "invoice.updated",
    "invoice_payment.paid",
    "invoice.paid",
    "invoice.payment_succeeded",
]


def test_start_is_paid_at_once(shop: Shop) -> None:
    customer, price = shop.customer(), shop.price(1000)
    with shop.happening() as types:
        made = shop.subscribe(price, customer, metadata={"user": "7"})
    assert types == ["customer.subscription.created", *PAID, "customer.subscription.updated"]
    made = shop.subscription(made.id)
    assert (made.status, made.metadata["user"]) == ("active", "7")
    (invoice,) = shop.invoices(made.id)
    assert (invoice.status, invoice.amount_paid, invoice.billing_reason) == (
        "paid",
        1000,
        "subscription_create",
    )
    assert made.latest_invoice == invoice.id
    details = invoice.parent.subscription_details
    assert (details.subscription, details.metadata["user"]) == (made.id, "7")
    (line,) = invoice.lines.data
    assert (line.amount, line.pricing.price_details.price) == (1000, price.id)
    item = made["items"].data[0]
    assert (line.period.start, line.period.end) == (
        item.current_period_start,
        item.current_period_end,
    )
    assert "current_period_end" not in made


def test_invoice_leads_to_its_payment_and_back(shop: Shop) -> None:
    made = shop.subscribe(shop.price(1000))
    (invoice,) = shop.invoices(made.id)
    found = shop.api.invoices.retrieve(
        invoice.id, {"expand": ["payments.data.payment.payment_intent"]}
    )
    intent = found.payments.data[0].payment.payment_intent
    assert (intent.status, intent.amount_received) == ("succeeded", 1000)
    assert not hasattr(intent, "invoice")
    assert not hasattr(found, "payment_intent")
    back = shop.api.invoice_payments.list(
        {"payment": {"type": "payment_intent", "payment_intent": intent.id}}
    )
    assert [one.invoice for one in back.data] == [invoice.id]


@pytest.mark.parametrize(
    ("start", "ends"),
    [
        ("2027-01-31T10:00", ["2027-02-28", "2027-03-31", "2027-04-30", "2027-05-31"]),
        ("2028-01-31T10:00", ["2028-02-29", "2028-03-31", "2028-04-30", "2028-05-31"]),
        ("2027-12-30T23:59", ["2028-01-30", "2028-02-29", "2028-03-30", "2028-04-30"]),
    ],
)
def test_month_ends(shop: Shop, start: str, ends: list[str]) -> None:
    shop.fake.advance(utc(start))
    made = shop.subscribe(shop.price(1000))
    for end in ends:
        at = utc(f"{end}T{start[11:]}")
        assert shop.period(made.id)[1] == at
        shop.fake.advance(at)
    assert len(shop.invoices(made.id)) == 1 + len(ends)


def test_a_leap_day_comes_back_in_four_years(shop: Shop) -> None:
    shop.fake.advance(utc("2028-02-29T00:00"))
    made = shop.subscribe(shop.price(9900, "year"))
    for year in (2029, 2030, 2031):
        shop.fake.advance(utc(f"{year}-02-28T00:00"))
    assert shop.period(made.id)[1] == utc("2032-02-29T00:00")


def test_renewal(shop: Shop) -> None:
    shop.fake.advance(utc("2027-03-01T00:00"))
    made = shop.subscribe(shop.price(1000))
    shop.fake.advance(utc("2027-03-31T23:59"))
    with shop.happening() as types:
        shop.fake.advance(utc("2027-04-01T00:00"))
    assert types == ["customer.subscription.updated", *PAID]
    second = shop.invoices(made.id)[1]
    assert (second.billing_reason, second.created) == (
        "subscription_cycle",
        int(utc("2027-04-01T00:00").timestamp()),
    )


def test_one_step_of_a_year_does_each_renewal_at_its_time(shop: Shop) -> None:
    shop.fake.advance(utc("2027-01-31T00:00"))
    made = shop.subscribe(shop.price(1000))
    shop.fake.advance(utc("2028-01-31T00:00"))
    days = [utc("1970-01-01T00:00") + timedelta(seconds=i.created) for i in shop.invoices(made.id)]
    assert [(day.month, day.day) for day in days[:5]] == [
        (1, 31),
        (2, 28),
        (3, 31),
        (4, 30),
        (5, 31),
    ]
    assert len(days) == 13


def test_declined_renewal_is_retried_until_a_new_card_pays(shop: Shop) -> None:
    shop.fake.advance(utc("2027-03-01T00:00"))
    customer = shop.customer()
    made = shop.subscribe(shop.price(1000), customer)
    shop.fake.replace_card(customer.id, FAILS_LATER)
    with shop.happening() as types:
        shop.fake.advance(utc("2027-04-01T00:00"))
    assert types == [
        "customer.subscription.updated",
        "invoice.created",
        "invoice.finalized",
        "payment_intent.created",
        "charge.failed",
        "payment_intent.payment_failed",
        "invoice.updated",
        "invoice.payment_failed",
        "customer.subscription.updated",
    ]
    assert shop.subscription(made.id).status == "past_due"
    assert shop.period(made.id) == (utc("2027-04-01T00:00"), utc("2027-05-01T00:00"))
    invoice = shop.invoices(made.id)[1]
    assert (invoice.status, invoice.attempt_count) == ("open", 1)
    assert invoice.next_payment_attempt == int(utc("2027-04-04T00:00").timestamp())
    shop.fake.replace_card(customer.id, PAYS)
    shop.fake.advance(utc("2027-04-04T00:00"))
    assert shop.subscription(made.id).status == "active"
    assert shop.invoices(made.id)[1].status == "paid"


def test_declines_until_the_end(shop: Shop) -> None:
    shop.fake.advance(utc("2027-03-01T00:00"))
    customer = shop.customer()
    made = shop.subscribe(shop.price(1000), customer)
    shop.fake.replace_card(customer.id, FAILS_LATER)
    for day, status in ((1, "past_due"), (4, "past_due"), (9, "past_due"), (16, "canceled")):
        shop.fake.advance(utc(f"2027-04-{day:02}T00:00"))
        assert shop.subscription(made.id).status == status
    ended = shop.subscription(made.id)
    assert ended.cancellation_details.reason == "payment_failed"
    assert len(shop.api.charges.list({"customer": customer.id}).data) == 5
    assert shop.types()[-1] == "customer.subscription.deleted"
    shop.fake.advance(utc("2027-07-01T00:00"))
    assert len(shop.invoices(made.id)) == 2


def test_renewal_that_needs_authentication(shop: Shop) -> None:
    shop.fake.advance(utc("2027-03-01T00:00"))
    customer = shop.customer()
    made = shop.subscribe(shop.price(1000), customer)
    shop.fake.replace_card(customer.id, AUTHENTICATES)
    shop.fake.advance(utc("2027-04-01T00:00"))
    assert shop.subscription(made.id).status == "past_due"
    assert "invoice.payment_action_required" in shop.types()
    invoice = shop.api.invoices.retrieve(
        shop.invoices(made.id)[1].id, {"expand": ["payments.data.payment.payment_intent"]}
    )
    intent = invoice.payments.data[0].payment.payment_intent
    assert intent.status == "requires_action"
    shop.fake.authenticate(intent.id)
    assert shop.subscription(made.id).status == "active"
    assert shop.invoices(made.id)[1].status == "paid"


def test_cancel_at_period_end(shop: Shop) -> None:
    shop.fake.advance(utc("2027-03-01T00:00"))
    made = shop.subscribe(shop.price(1000))
    shop.api.subscriptions.update(made.id, {"cancel_at_period_end": True})
    shop.fake.advance(utc("2027-03-31T23:59"))
    assert shop.subscription(made.id).status == "active"
    with shop.happening() as types:
        shop.fake.advance(utc("2027-04-01T00:00"))
    assert types == ["customer.subscription.deleted"]
    assert shop.subscription(made.id).status == "canceled"
    assert len(shop.invoices(made.id)) == 1


def test_cancellation_undone(shop: Shop) -> None:
    shop.fake.advance(utc("2027-03-01T00:00"))
    made = shop.subscribe(shop.price(1000))
    shop.api.subscriptions.update(made.id, {"cancel_at_period_end": True})
    kept = shop.api.subscriptions.update(made.id, {"cancel_at_period_end": False})
    assert (kept.cancel_at, kept.canceled_at) == (None, None)
    shop.fake.advance(utc("2027-04-01T00:00"))
    assert len(shop.invoices(made.id)) == 2


def test_trial(shop: Shop) -> None:
    shop.fake.advance(utc("2027-03-01T00:00"))
    customer, price = shop.customer(), shop.price(1000)
    with shop.happening() as types:
        made = shop.subscribe(price, customer, trial_period_days=14)
    assert types == [
        "customer.subscription.created",
        "invoice.created",
        "invoice.finalized",
        "invoice.updated",
        "invoice.paid",
        "invoice.payment_succeeded",
    ]
    assert made.status == "trialing"
    (first,) = shop.invoices(made.id)
    assert (first.status, first.total) == ("paid", 0)
    with shop.happening() as types:
        shop.fake.advance(utc("2027-03-12T00:00"))
    assert types == ["customer.subscription.trial_will_end"]
    with shop.happening() as types:
        shop.fake.advance(utc("2027-03-15T00:00"))
    assert types == ["customer.subscription.updated", *PAID]
    assert shop.subscription(made.id).status == "active"
    assert shop.period(made.id) == (utc("2027-03-15T00:00"), utc("2027-04-15T00:00"))


def test_trial_without_a_card_pauses_and_resumes(shop: Shop) -> None:
    shop.fake.advance(utc("2027-03-01T00:00"))
    customer = shop.customer(card=None)
    made = shop.subscribe(
        shop.price(1000),
        customer,
        trial_period_days=7,
        trial_settings={"end_behavior": {"missing_payment_method": "pause"}},
    )
    shop.fake.advance(utc("2027-03-09T00:00"))
    assert shop.subscription(made.id).status == "paused"
    assert shop.types()[-1] == "customer.subscription.paused"
    shop.fake.replace_card(customer.id)
    shop.api.subscriptions.resume(made.id)
    assert shop.subscription(made.id).status == "active"
    assert "customer.subscription.resumed" in shop.types()


def test_declined_start_stays_incomplete_and_expires(shop: Shop) -> None:
    shop.fake.advance(utc("2027-03-01T00:00"))
    made = shop.subscribe(shop.price(1000), shop.customer(FAILS_LATER))
    assert shop.subscription(made.id).status == "incomplete"
    shop.fake.advance(utc("2027-03-02T00:00"))
    assert shop.subscription(made.id).status == "incomplete_expired"
    assert shop.invoices(made.id)[0].status == "void"


def test_declined_start_that_is_to_leave_no_trace(shop: Shop) -> None:
    price, customer = shop.price(1000), shop.customer(FAILS_LATER)
    with shop.happening() as types, pytest.raises(stripe.CardError) as refused:
        shop.subscribe(price, customer, payment_behavior="error_if_incomplete")
    assert refused.value.code == "card_declined"
    assert types == []
    assert shop.api.subscriptions.list({"status": "all"}).data == []


def test_deleted_customer_has_no_subscription(shop: Shop) -> None:
    customer = shop.customer()
    made = shop.subscribe(shop.price(1000), customer)
    with shop.happening() as types:
        shop.api.customers.delete(customer.id)
    assert types == ["customer.subscription.deleted", "customer.deleted"]
    assert shop.subscription(made.id).status == "canceled"
    assert shop.api.customers.retrieve(customer.id).deleted
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        shop.api.customers.update(customer.id, {"name": "Late"})


def test_a_card_that_declines_is_not_kept(shop: Shop) -> None:
    customer = shop.customer()
    with pytest.raises(Exception, match="declined"):
        shop.fake.replace_card(customer.id, DECLINED)


def test_paused_collection_voids(shop: Shop) -> None:
    shop.fake.advance(utc("2027-03-01T00:00"))
    made = shop.subscribe(shop.price(1000))
    shop.api.subscriptions.update(made.id, {"pause_collection": {"behavior": "void"}})
    shop.fake.advance(utc("2027-04-01T00:00"))
    assert [invoice.status for invoice in shop.invoices(made.id)] == ["paid", "void"]
    assert shop.subscription(made.id).status == "active"
    shop.api.subscriptions.update(made.id, {"pause_collection": ""})
    shop.fake.advance(utc("2027-05-01T00:00"))
    assert shop.invoices(made.id)[2].status == "paid"
