"""GET /api/billing/invoices: a plan's invoices and the payments for credits, in one list."""

import pytest

from accounts import verbs as accounts
from billing import checkout, payments
from billing.models import Payment
from common.paging import Cursor
from tests.billing.buying import error_of, signed_in
from tests.billing.test_subscription_api import subscribe

PATH = "/api/billing/invoices"


@pytest.fixture
def client(user):
    return signed_in(user)


def buy(fake, user, quantity):
    order = checkout.open_credits(user, quantity)
    fake.pay(order.stripe_id)
    return payments.apply_session(order.stripe_id)


def test_nothing_was_bought(fake_stripe, client):
    assert client.get(PATH).json() == {"next": None, "previous": None, "results": []}


def test_an_invoice_and_a_payment(fake_stripe, client, user, plans):
    subscribe(fake_stripe, user, plans["pro"])
    buy(fake_stripe, user, 100)
    credits, plan = client.get(PATH).json()["results"]
    assert credits["description"] == "100 credits"
    assert (credits["amount"], credits["currency"], credits["status"]) == (1000, "usd", "paid")
    assert credits["number"] is None
    assert (plan["amount"], plan["currency"], plan["status"]) == (900, "usd", "paid")
    assert plan["number"]
    assert plan["url"].startswith(f"{fake_stripe.url}/i/")
    assert plan["pdf"]
    assert "Pro" in plan["description"]


def test_a_refund_shows(fake_stripe, client, user):
    payment = buy(fake_stripe, user, 100)
    fake_stripe.api.v1.refunds.create({"payment_intent": payment.payment_intent, "amount": 400})
    payments.apply_changed_intent(payment.payment_intent)
    [one] = client.get(PATH).json()["results"]
    assert one["status"] == "refunded"


def test_pages_of_both_kinds_miss_and_repeat_nothing(fake_stripe, client, user, plans):
    subscribe(fake_stripe, user, plans["pro"])
    for quantity in (5, 6, 7, 8):
        buy(fake_stripe, user, quantity)
    whole = client.get(PATH).json()["results"]
    assert len(whole) == 5
    seen, url = [], f"{PATH}?limit=2"
    while url:
        page = client.get(url).json()
        seen.extend(page["results"])
        assert len(page["results"]) <= 2
        back, url = page["previous"], page["next"]
    assert seen == whole
    assert client.get(back).json()["results"] == whole[2:4]


def of(*place):
    return str(Cursor(place))


def test_what_is_no_cursor(fake_stripe, client):
    for cursor in (
        "x",
        "W10",
        of("a", "b", "c"),
        of("2026-01-01", "invoice", "1"),
        of("2026-01-01T00:00+00:00", "invoice", "x"),
        of("2026-01-01T00:00+00:00", "payment", "9" * 30),
    ):
        answer = client.get(f"{PATH}?cursor={cursor}")
        assert (answer.status_code, error_of(answer)["param"]) == (400, "cursor"), cursor


def test_as_csv(fake_stripe, client, user):
    buy(fake_stripe, user, 100)
    lines = client.get(f"{PATH}?format=csv").content.decode().splitlines()
    assert lines[0] == "id,number,created,amount,currency,status,url,pdf,description"
    assert "100 credits" in lines[1]


def test_another_users_are_not_shown(fake_stripe, client):
    buy(fake_stripe, accounts.create_user(email="other@example.com"), 100)
    assert Payment.objects.count() == 1
    assert client.get(PATH).json()["results"] == []
