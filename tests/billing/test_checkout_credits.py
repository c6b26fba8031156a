"""POST and GET /api/billing/credits: whole quantities, at the server's price."""

from decimal import Decimal

import pytest
from django.test import Client

from accounts import verbs as accounts
from billing import checkout
from billing.models import CreditTier, Customer, Order, Payment
from common.errors import PermissionRefused
from tests.billing.buying import error_of, post, signed_in, with_key

State = Order.State


@pytest.fixture
def client(user):
    return signed_in(user)


def test_the_page_sells_at_the_servers_price(fake_stripe, client, user):
    CreditTier.objects.create(from_quantity=100, price=Decimal("0.0950"))
    answer = post(client, "credits", {"quantity": 101, "amount": 1, "price": 1})
    assert answer.status_code == 200
    order = Order.objects.get()
    assert (order.quantity, order.amount, order.currency) == (101, 960, "usd")
    session = fake_stripe.api.v1.checkout.sessions.retrieve(
        order.stripe_id, {"expand": ["line_items"]}
    )
    assert answer.json() == {"url": session.url}
    assert (session.mode, session.amount_subtotal) == ("payment", 960)
    [line] = session.line_items.data
    assert (line.quantity, line.amount_subtotal, line.description) == (1, 960, "101 credits")
    about = {"farebox_order": str(order.pk), "farebox_user": str(user.pk)}
    assert session.metadata.to_dict() == about
    paid = fake_stripe.pay(order.stripe_id)
    assert paid["status"] == "complete"
    session = fake_stripe.api.v1.checkout.sessions.retrieve(order.stripe_id)
    intent = fake_stripe.api.v1.payment_intents.retrieve(session.payment_intent)
    assert intent.setup_future_usage == "off_session"
    assert intent.metadata.to_dict() == about
    assert intent.customer == Customer.objects.get(user=user).stripe_id
    assert not Payment.objects.exists()


@pytest.mark.parametrize("quantity", [
    "0", "-1", "1.5", "5.0", '"5"', "1e309", "1e2", "-1e309", "true", "null", "[]", "{}",
    str(2**63), str(2**31), "9" * 400, "4", "10001", '""', "[5]", "NaN", "Infinity",
])  # fmt: skip
def test_what_is_no_quantity(fake_stripe, client, quantity):
    answer = post(client, "credits", f'{{"quantity": {quantity}}}')
    assert answer.status_code == 400
    if quantity not in ("NaN", "Infinity"):  # no JSON at all
        assert error_of(answer)["param"] == "quantity"
    assert not Order.objects.exists()


def test_a_number_that_no_integer_can_hold(fake_stripe, client):
    assert post(client, "credits", f'{{"quantity": {"9" * 5000}}}').status_code == 400


def test_no_quantity(fake_stripe, client):
    for body in ("{}", "[]", "", '"5"', "5"):
        assert post(client, "credits", body).status_code == 400


def test_an_idempotency_key_orders_once(fake_stripe, client):
    first = post(client, "credits", {"quantity": 100}, key="k1")
    assert post(client, "credits", {"quantity": 100}, key="k1").json() == first.json()
    assert Order.objects.count() == 1
    other = post(client, "credits", {"quantity": 101}, key="k1")
    assert (other.status_code, error_of(other)["code"]) == (422, "key_reused")
    other = post(client, "checkout", {"plan": "pro"}, key="k1")
    assert (other.status_code, error_of(other)["code"]) == (422, "key_reused")
    without = post(client, "credits", {"quantity": 100})
    assert without.json() != first.json()
    for key in ("k\x7f", "two words", "x" * 256):
        assert error_of(post(client, "credits", {"quantity": 9}, key=key))["param"] == (
            "Idempotency-Key"
        )


def test_a_key_keeps_its_price(fake_stripe, client):
    """What was ordered is what is paid, though the price has changed since."""
    first = post(client, "credits", {"quantity": 100}, key="k1")
    CreditTier.objects.create(from_quantity=1, price=Decimal("0.20"))
    assert post(client, "credits", {"quantity": 100}, key="k1").json() == first.json()
    assert Order.objects.get().amount == 1000


def test_stripe_fails_and_the_next_try_works(fake_stripe, client):
    fake_stripe.fault(path="/v1/checkout/sessions", drop=True, times=10)
    answer = post(client, "credits", {"quantity": 100}, key="k1")
    assert answer.status_code == 503
    assert 1 <= int(answer["retry-after"]) <= 60
    order = Order.objects.get()
    assert (order.state, order.stripe_id, order.url) == (State.OPEN, None, "")
    fake_stripe.clear_faults()
    again = post(client, "credits", {"quantity": 100}, key="k1")
    order.refresh_from_db()
    assert again.json() == {"url": order.url}
    assert Order.objects.count() == 1


def test_what_stripe_refuses_is_no_order(fake_stripe, client):
    refused = {"error": {"type": "invalid_request_error", "message": "no"}}
    fake_stripe.fault(path="/v1/checkout/sessions", status=400, body=refused)
    assert post(client, "credits", {"quantity": 100}, key="k1").status_code == 502
    assert Order.objects.get().state == State.FAILED
    assert post(client, "credits", {"quantity": 100}, key="k1").status_code == 200


def test_whose_keys_can_buy(fake_stripe, user, api_key):
    """Ordinary keys can; the page is paid by whoever opens it. Those that can't read can't."""
    client = signed_in(user)
    assert post(client, "credits", {"quantity": 5}, **with_key(api_key.secret)).status_code == 200
    user.is_staff = True
    user.save()
    for scopes in (["ai"], ["credits"], ["ai", "credits"]):
        key = accounts.issue_key(user=user, name="narrow", scopes=scopes).secret
        for path, body in (("credits", {"quantity": 5}), ("checkout", {"plan": "pro"})):
            answer = post(client, path, body, **with_key(key))
            assert (answer.status_code, error_of(answer)["code"]) == (403, "permission_denied")
    assert Order.objects.count() == 1


def test_somebody_who_was_shut_out(fake_stripe, user, plans):
    user.is_active = False
    user.save()
    with pytest.raises(PermissionRefused):
        checkout.open_credits(user, 100)
    with pytest.raises(PermissionRefused):
        checkout.open_plan(user, plans["pro"])


def test_what_credits_cost_is_told_to_everybody(fake_stripe, db_client, settings):
    settings.CREDITS_LEAST, settings.CREDITS_MOST = 5, 2000
    CreditTier.objects.create(from_quantity=100, price=Decimal("0.0950"))
    answer = db_client.get("/api/billing/credits")
    assert answer.status_code == 200
    assert answer.json() == {
        "least": 5,
        "most": 2000,
        "currency": "usd",
        "tiers": [{"from": 1, "price": "0.10"}, {"from": 100, "price": "0.0950"}],
    }
    assert db_client.get("/api/billing/credits?quantity=101").json() == {
        "quantity": 101,
        "amount": 960,
        "currency": "usd",
    }
    wrong_key = {"x-api-key": "nonsense"}
    assert db_client.get("/api/billing/credits", headers=wrong_key).status_code == 200
    assert post(db_client, "credits", {"quantity": 5}, **wrong_key).status_code == 401
    for wrong in ("0", "-1", "1.5", "4", "2001", "x", "1e3", "9" * 30):
        answer = db_client.get(f"/api/billing/credits?quantity={wrong}")
        assert answer.status_code == 400, wrong
        assert error_of(answer)["param"] == "quantity"


@pytest.fixture
def db_client():
    return Client()


def test_another_currency_without_prices(fake_stripe, client, settings):
    settings.CURRENCY = "eur"
    answer = post(client, "credits", {"quantity": 100})
    assert answer.status_code == 503
    assert "EUR" in error_of(answer)["message"]
