"""The fake Stripe's API itself: keys, errors, idempotency, lists, expand; both module APIs."""

from __future__ import annotations

import time

import pytest
import requests
import stripe

from tests.fakes.stripe.shop import Shop, utc


def test_classic_module_api(shop: Shop) -> None:
    client = stripe.RequestsClient(timeout=20)
    before = stripe.api_base, stripe.api_key, stripe.default_http_client
    stripe.api_base, stripe.api_key, stripe.default_http_client = (
        shop.fake.url,
        shop.fake.key,
        client,
    )
    try:
        made = stripe.Product.create(name="Pro", metadata={"plan": "pro"})
        assert stripe.Product.retrieve(made.id).metadata["plan"] == "pro"
        stripe.Product.modify(made.id, metadata={"plan": ""})
        assert dict(stripe.Product.retrieve(made.id).metadata) == {}
        assert [one.id for one in stripe.Product.list().auto_paging_iter()] == [made.id]
        assert stripe.Account.retrieve().charges_enabled
    finally:
        client.close()
        stripe.api_base, stripe.api_key, stripe.default_http_client = before


@pytest.mark.parametrize("key", ["sk_live_1234567890", "pk_test_1234567890", ""])
def test_wrong_key(shop: Shop, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    answer = requests.get(f"{shop.fake.url}/v1/account", headers=headers, timeout=5)
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert "1234567890" not in answer.text


def test_key_by_basic_authentication(shop: Shop) -> None:
    answer = requests.get(f"{shop.fake.url}/v1/account", auth=("sk_test_x", ""), timeout=5)
    assert answer.json()["object"] == "account"
    assert answer.headers["Request-Id"].startswith("req_")


def test_missing_object(shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.api.subscriptions.retrieve("sub_none")
    error = refused.value
    assert (error.http_status, error.code, error.param) == (404, "resource_missing", "id")
    assert str(error).endswith("No such subscription: 'sub_none'")


def test_unknown_address(shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="Unrecognized request URL"):
        shop.fake.api.raw_request("get", "/v1/nothing")


@pytest.mark.parametrize(
    "told",
    [
        {"currency": "usd", "unit_amount": "1.5"},
        {"currency": "usd", "unit_amount": "-1"},
        {"currency": "dollars", "unit_amount": "1"},
        {"unit_amount": "1"},
        {"currency": "usd"},
    ],
)
def test_bad_price(shop: Shop, told: dict[str, str]) -> None:
    product = shop.api.products.create({"name": "Pro"})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.api.prices.create({"product": product.id, **told})
    assert refused.value.http_status == 400


def test_unknown_parameter(shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.api.customers.create({"e_mail": "a@example.com"})
    assert (refused.value.code, refused.value.param) == ("parameter_unknown", "e_mail")


def test_a_price_never_changes_its_amount(shop: Shop) -> None:
    price = shop.price(1000)
    with pytest.raises(stripe.InvalidRequestError, match="unknown parameter"):
        shop.fake.api.raw_request("post", f"/v1/prices/{price.id}", unit_amount=5)
    changed = shop.api.prices.update(price.id, {"active": False, "metadata": {"old": "yes"}})
    assert (changed.active, changed.unit_amount) == (False, 1000)
    (event,) = shop.events(type="price.updated")
    assert event.data.previous_attributes["active"] is True


def test_lookup_key_moves(shop: Shop) -> None:
    old = shop.price(1000, lookup_key="pro")
    with pytest.raises(stripe.InvalidRequestError, match="lookup key"):
        shop.price(2000, lookup_key="pro")
    new = shop.price(2000, lookup_key="pro", transfer_lookup_key=True)
    found = shop.api.prices.list({"lookup_keys": ["pro"]}).data
    assert [price.id for price in found] == [new.id]
    assert shop.api.prices.retrieve(old.id).lookup_key is None


def test_volume_tiers(shop: Shop) -> None:
    product = shop.api.products.create({"name": "Credits"})
    price = shop.api.prices.create(
        {
            "product": product.id,
            "currency": "usd",
            "billing_scheme": "tiered",
            "tiers_mode": "volume",
            "tiers": [{"up_to": 99, "unit_amount": 10}, {"up_to": "inf", "unit_amount": 8}],
            "expand": ["tiers"],
        }
    )
    assert [tier.up_to for tier in price.tiers] == [99, None]
    for quantity, total in ((99, 990), (100, 800)):
        items = [{"price": price.id, "quantity": quantity}]
        assert shop.checkout(price, line_items=items, mode="payment").amount_total == total


def test_same_key_same_answer(shop: Shop) -> None:
    told = {"email": "a@example.com"}
    first = shop.api.customers.create(told, {"idempotency_key": "k1"})
    again = shop.api.customers.create(told, {"idempotency_key": "k1"})
    assert first.id == again.id
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert len(shop.api.customers.list().data) == 1
    (event,) = shop.events(type="customer.created")
    assert event["request"].idempotency_key == "k1"
    assert event["request"].id == first.last_response.request_id


def test_same_key_other_input(shop: Shop) -> None:
    shop.api.customers.create({"email": "a@example.com"}, {"idempotency_key": "k1"})
    with pytest.raises(stripe.IdempotencyError, match="same parameters"):
        shop.api.customers.create({"email": "b@example.com"}, {"idempotency_key": "k1"})


def test_a_refusal_is_replayed_too(shop: Shop) -> None:
    customer = shop.customer("4000000000000341")
    kept = shop.api.customers.retrieve(customer.id).invoice_settings.default_payment_method
    told = {
        "amount": 500, "currency": "usd", "customer": customer.id, "payment_method": kept,
        "confirm": True, "off_session": True,
    }  # fmt: skip
    for _ in range(2):
        with pytest.raises(stripe.CardError):
            shop.api.payment_intents.create(told, {"idempotency_key": "k2"})
    assert len(shop.api.charges.list().data) == 1


def test_bad_input_does_not_use_a_key_up(shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        shop.api.payment_intents.create(
            {"amount": "x", "currency": "usd"}, {"idempotency_key": "k3"}
        )
    shop.api.payment_intents.create({"amount": 500, "currency": "usd"}, {"idempotency_key": "k3"})


def test_a_key_is_forgotten_after_a_day(shop: Shop) -> None:
    shop.fake.advance(utc("2027-03-01T00:00"))
    first = shop.api.customers.create({}, {"idempotency_key": "k4"})
    shop.fake.advance(utc("2027-03-02T00:00"))
    assert shop.api.customers.create({}, {"idempotency_key": "k4"}).id != first.id


def test_pages_of_a_list(shop: Shop) -> None:
    made = [shop.api.customers.create({"email": f"{n}@example.com"}).id for n in range(5)][::-1]
    first = shop.api.customers.list({"limit": 2})
    assert ([one.id for one in first.data], first.has_more) == (made[:2], True)
    second = shop.api.customers.list({"limit": 3, "starting_after": made[1]})
    assert ([one.id for one in second.data], second.has_more) == (made[2:], False)
    back = shop.api.customers.list({"limit": 2, "ending_before": made[4]})
    assert ([one.id for one in back.data], back.has_more) == (made[2:4], True)
    assert [one.id for one in first.auto_paging_iter()] == made
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        shop.api.customers.list({"starting_after": "cus_none"})


def test_lists_by_time(shop: Shop) -> None:
    for day in ("01", "02", "03"):
        shop.fake.advance(utc(f"2027-03-{day}T00:00"))
        shop.api.customers.create({"email": f"{day}@example.com"})
    second = int(utc("2027-03-02T00:00").timestamp())
    found = shop.api.customers.list({"created": {"gte": second}}).data
    assert [one.email[:2] for one in found] == ["03", "02"]
    found = shop.api.customers.list({"created": {"lt": second}}).data
    assert [one.email[:2] for one in found] == ["01"]


def test_events_of_thirty_days(shop: Shop) -> None:
    shop.fake.advance(utc("2027-03-01T00:00"))
    shop.customer(card=None)
    shop.price(1000)
    kinds = {"types": ["customer.created", "price.*"]}
    assert [event.type for event in shop.events(**kinds)] == ["customer.created", "price.created"]
    event = shop.events()[0]
    shop.fake.advance(utc("2027-04-01T00:00"))
    assert shop.events() == []
    assert shop.api.events.retrieve(event.id).data.object["email"] == "jenny@example.com"


def test_expand(shop: Shop) -> None:
    customer = shop.customer()
    made = shop.subscribe(shop.price(1000), customer)
    found = shop.api.subscriptions.retrieve(
        made.id, {"expand": ["customer", "items.data.price.product", "latest_invoice.payments"]}
    )
    assert found.customer.email == "jenny@example.com"
    assert found["items"].data[0].price.product.name == "Plan of 1000"
    assert found.latest_invoice.payments.data[0].payment.type == "payment_intent"
    listed = shop.api.subscriptions.list({"expand": ["data.customer"]})
    assert listed.data[0].customer.id == customer.id


@pytest.mark.parametrize(
    ("path", "message"),
    [("nothing", "cannot be expanded"), ("items.data.price.product.default_price", "4 levels")],
)
def test_bad_expand(shop: Shop, path: str, message: str) -> None:
    made = shop.subscribe(shop.price(1000))
    with pytest.raises(stripe.InvalidRequestError, match=message):
        shop.api.subscriptions.retrieve(made.id, {"expand": [path]})


def test_features_of_a_product(shop: Shop) -> None:
    product = shop.api.products.create({"name": "Pro"})
    feature = shop.api.entitlements.features.create({"name": "Fast", "lookup_key": "fast"})
    shop.api.products.features.create(product.id, {"entitlement_feature": feature.id})
    found = shop.api.products.features.list(product.id).data
    assert [one.entitlement_feature.lookup_key for one in found] == ["fast"]


def test_portal_session(shop: Shop) -> None:
    customer = shop.customer()
    with pytest.raises(stripe.InvalidRequestError, match="No configuration"):
        shop.api.billing_portal.sessions.create({"customer": customer.id})
    made = shop.api.billing_portal.configurations.create(
        {"features": {"subscription_cancel": {"enabled": True, "mode": "at_period_end"}}}
    )
    assert made.is_default
    assert made.features.subscription_cancel.enabled is True
    assert made.features.invoice_history.enabled is False
    session = shop.api.billing_portal.sessions.create(
        {"customer": customer.id, "return_url": "https://shop.test/"}
    )
    assert session.url == f"{shop.fake.url}/p/session/{session.id}"
    assert session.configuration == made.id


def test_faults(shop: Shop) -> None:
    shop.fake.fault(method="POST", path="/v1/customers", status=500, times=2)
    for _ in range(2):
        with pytest.raises(stripe.APIError):
            shop.api.customers.create({})
    assert shop.api.customers.list().data == []
    shop.api.customers.create({})
    shop.fake.fault(path="/v1/", drop=True, times=5)
    with pytest.raises(stripe.APIConnectionError):
        shop.api.customers.list()
    shop.fake.clear_faults()
    begun = time.monotonic()
    shop.fake.fault(path="/v1/customers", delay=0.2)
    assert len(shop.api.customers.list().data) == 1
    assert time.monotonic() - begun >= 0.2


def test_an_answer_lost_after_the_work(shop: Shop) -> None:
    shop.fake.fault(method="POST", path="/v1/customers", drop=True, after=True)
    with pytest.raises(stripe.APIConnectionError):
        shop.api.customers.create({"name": "A"}, {"idempotency_key": "k5"})
    again = shop.api.customers.create({"name": "A"}, {"idempotency_key": "k5"})
    assert [one.id for one in shop.api.customers.list().data] == [again.id]


def test_the_clock_goes_forward_only(shop: Shop) -> None:
    shop.fake.advance(utc("2030-01-01T00:00"))
    assert shop.fake.now == utc("2030-01-01T00:00")
    with pytest.raises(Exception, match="only moves forward"):
        shop.fake.advance(utc("2029-12-31T23:59"))
    shop.fake.real_time()
    assert abs(shop.fake.now.timestamp() - time.time()) < 60
