"""Changes of plan at the fake Stripe. The sums are worked out by hand, to the second."""

from __future__ import annotations

import pytest
import stripe

from tests.fakes.stripe.shop import Shop, utc

FAILS_LATER = "4000000000000341"


def change(shop: Shop, made: stripe.Subscription, price: stripe.Price, **more: object) -> None:
    item = made["items"].data[0].id
    shop.api.subscriptions.update(made.id, {"items": [{"id": item, "price": price.id}], **more})


def amounts(invoice: stripe.Invoice) -> list[int]:
    return [line.amount for line in invoice.lines.data]


def test_upgrade_invoiced_at_once(shop: Shop) -> None:
    shop.fake.advance(utc("2027-03-01T00:00"))
    made, pro = shop.subscribe(shop.price(1000)), shop.price(3000)
    shop.fake.advance(utc("2027-03-11T12:00"))
    with shop.happening() as types:
        change(shop, made, pro, proration_behavior="always_invoice")
    assert types[:4] == [
        "invoiceitem.created",
        "invoiceitem.created",
        "customer.subscription.updated",
        "invoice.created",
    ]
    assert types[-1] == "invoice.payment_succeeded"
    second = shop.invoices(made.id)[1]
    # 20.5 of 31 days are left: 1,771,200 of 2,678,400 s. 661.29 back, 1,983.87 to pay.
    assert amounts(second) == [-661, 1984]
    assert (second.billing_reason, second.amount_paid) == ("subscription_update", 1323)
    credit, debit = second.lines.data
    assert credit.parent.subscription_item_details.proration
    assert credit.period.start == int(utc("2027-03-11T12:00").timestamp())
    assert credit.period.end == int(utc("2027-04-01T00:00").timestamp())
    assert debit.pricing.price_details.price == pro.id
    assert shop.period(made.id) == (utc("2027-03-01T00:00"), utc("2027-04-01T00:00"))
    shop.fake.advance(utc("2027-04-01T00:00"))
    assert amounts(shop.invoices(made.id)[2]) == [3000]


def test_upgrade_on_the_next_invoice(shop: Shop) -> None:
    shop.fake.advance(utc("2027-04-01T00:00"))
    made = shop.subscribe(shop.price(1001))
    shop.fake.advance(utc("2027-04-16T00:00"))
    change(shop, made, shop.price(2001))
    pending = shop.api.invoice_items.list({"pending": True}).data
    assert sorted(item.amount for item in pending) == [-501, 1001]
    assert len(shop.invoices(made.id)) == 1
    shop.fake.advance(utc("2027-05-01T00:00"))
    # Half a month is left: 500.5 and 1,000.5, each rounded half up.
    assert amounts(shop.invoices(made.id)[1]) == [-501, 1001, 2001]
    assert shop.api.invoice_items.list({"pending": True}).data == []


def test_change_without_proration(shop: Shop) -> None:
    shop.fake.advance(utc("2027-04-01T00:00"))
    made = shop.subscribe(shop.price(1000))
    shop.fake.advance(utc("2027-04-16T00:00"))
    change(shop, made, shop.price(3000), proration_behavior="none")
    assert len(shop.invoices(made.id)) == 1
    shop.fake.advance(utc("2027-05-01T00:00"))
    assert amounts(shop.invoices(made.id)[1]) == [3000]


def test_downgrade_leaves_a_credit_for_the_next_invoices(shop: Shop) -> None:
    shop.fake.advance(utc("2027-03-01T00:00"))
    customer = shop.customer()
    made = shop.subscribe(shop.price(3000), customer)
    shop.fake.advance(utc("2027-03-11T12:00"))
    change(shop, made, shop.price(1000), proration_behavior="always_invoice")
    second = shop.invoices(made.id)[1]
    assert (second.total, second.amount_due, second.status) == (-1323, 0, "paid")
    assert shop.api.customers.retrieve(customer.id).balance == -1323
    shop.fake.advance(utc("2027-04-01T00:00"))
    third = shop.invoices(made.id)[2]
    assert (third.total, third.starting_balance, third.amount_due) == (1000, -1323, 0)
    shop.fake.advance(utc("2027-05-01T00:00"))
    assert shop.invoices(made.id)[3].amount_paid == 1000 - 323
    assert shop.api.customers.retrieve(customer.id).balance == 0


def test_another_interval_starts_a_period(shop: Shop) -> None:
    shop.fake.advance(utc("2027-04-01T00:00"))
    made = shop.subscribe(shop.price(1000))
    shop.fake.advance(utc("2027-04-21T00:00"))
    change(shop, made, shop.price(10_000, "year"))
    second = shop.invoices(made.id)[1]
    assert amounts(second) == [-333, 10_000]
    assert shop.period(made.id) == (utc("2027-04-21T00:00"), utc("2028-04-21T00:00"))


def test_from_free_to_paid_starts_a_period(shop: Shop) -> None:
    shop.fake.advance(utc("2027-04-01T00:00"))
    made = shop.subscribe(shop.price(0))
    assert made.status == "active"
    shop.fake.advance(utc("2027-04-21T00:00"))
    change(shop, made, shop.price(1000))
    assert shop.invoices(made.id)[1].amount_paid == 1000
    assert shop.period(made.id) == (utc("2027-04-21T00:00"), utc("2027-05-21T00:00"))


def test_change_in_a_trial_costs_nothing(shop: Shop) -> None:
    shop.fake.advance(utc("2027-04-01T00:00"))
    made = shop.subscribe(shop.price(1000), trial_period_days=14)
    shop.fake.advance(utc("2027-04-05T00:00"))
    change(shop, made, shop.price(3000), proration_behavior="always_invoice")
    assert len(shop.invoices(made.id)) == 1
    shop.fake.advance(utc("2027-04-15T00:00"))
    assert amounts(shop.invoices(made.id)[1]) == [3000]


def test_quantity(shop: Shop) -> None:
    shop.fake.advance(utc("2027-04-01T00:00"))
    made = shop.subscribe(shop.price(1000))
    shop.fake.advance(utc("2027-04-11T00:00"))
    item = made["items"].data[0].id
    shop.api.subscriptions.update(
        made.id, {"items": [{"id": item, "quantity": 3}], "proration_behavior": "always_invoice"}
    )
    assert amounts(shop.invoices(made.id)[1]) == [-667, 2000]


def test_a_discount_is_prorated_too(shop: Shop) -> None:
    shop.fake.advance(utc("2027-04-01T00:00"))
    coupon = shop.api.coupons.create({"percent_off": 50, "duration": "forever"})
    made = shop.subscribe(shop.price(1000), discounts=[{"coupon": coupon.id}])
    assert shop.invoices(made.id)[0].amount_paid == 500
    shop.fake.advance(utc("2027-04-16T00:00"))
    change(shop, made, shop.price(3000), proration_behavior="always_invoice")
    assert amounts(shop.invoices(made.id)[1]) == [-250, 750]
    assert shop.invoices(made.id)[1].amount_paid == 500


def test_declined_upgrade_makes_it_past_due(shop: Shop) -> None:
    customer = shop.customer()
    made = shop.subscribe(shop.price(1000), customer)
    shop.fake.replace_card(customer.id, FAILS_LATER)
    change(shop, made, shop.price(3000), proration_behavior="always_invoice")
    assert shop.subscription(made.id).status == "past_due"


def test_declined_upgrade_that_is_to_change_nothing(shop: Shop) -> None:
    customer, basic, pro = shop.customer(), shop.price(1000), shop.price(3000)
    made = shop.subscribe(basic, customer)
    shop.fake.replace_card(customer.id, FAILS_LATER)
    with shop.happening() as types, pytest.raises(stripe.CardError):
        change(
            shop,
            made,
            pro,
            proration_behavior="always_invoice",
            payment_behavior="error_if_incomplete",
        )
    assert types == []
    kept = shop.subscription(made.id)
    assert (kept.status, kept["items"].data[0].price.id) == ("active", basic.id)
    assert len(shop.invoices(made.id)) == 1


def test_scheduled_downgrade(shop: Shop) -> None:
    shop.fake.advance(utc("2027-04-01T00:00"))
    pro, basic = shop.price(3000), shop.price(1000)
    made = shop.subscribe(pro)
    schedule = shop.api.subscription_schedules.create({"from_subscription": made.id})
    now = schedule.phases[0]
    shop.api.subscription_schedules.update(
        schedule.id,
        {
            "end_behavior": "release",
            "phases": [
                {
                    "items": [{"price": pro.id, "quantity": 1}],
                    "start_date": now.start_date,
                    "end_date": now.end_date,
                },
                {"items": [{"price": basic.id, "quantity": 1}], "iterations": 1},
            ],
        },
    )
    shop.fake.advance(utc("2027-04-30T00:00"))
    assert shop.subscription(made.id)["items"].data[0].price.id == pro.id
    shop.fake.advance(utc("2027-05-01T00:00"))
    assert shop.subscription(made.id)["items"].data[0].price.id == basic.id
    assert amounts(shop.invoices(made.id)[1]) == [1000]
    shop.fake.advance(utc("2027-06-01T00:00"))
    assert shop.subscription(made.id).schedule is None
    assert shop.api.subscription_schedules.retrieve(schedule.id).status == "released"
    assert amounts(shop.invoices(made.id)[2]) == [1000]


def test_cancel_now_with_proration(shop: Shop) -> None:
    shop.fake.advance(utc("2027-04-01T00:00"))
    customer = shop.customer()
    made = shop.subscribe(shop.price(1000), customer)
    shop.fake.advance(utc("2027-04-16T00:00"))
    shop.api.subscriptions.cancel(made.id, {"prorate": True, "invoice_now": True})
    assert amounts(shop.invoices(made.id)[1]) == [-500]
    assert shop.api.customers.retrieve(customer.id).balance == -500
