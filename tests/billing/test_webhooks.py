"""The webhook's door: who may knock, what is refused, and what a refusal leaves behind."""

import json
import time
from uuid import uuid4

import pytest
import stripe
from django.test import Client
from django.urls import reverse
from djstripe.models import Event, WebhookEndpoint

from billing.events import LOOKS
from billing.models import Customer, Order, Payment
from billing.owners import ORDER
from billing.setup import EVENTS
from billing.webhooks import MOST_BYTES

SECRET = "whsec_of_the_test"


@pytest.fixture
def door(clean_books):
    """An endpoint's address; the fake is not needed to be refused."""
    endpoint = WebhookEndpoint.objects.create(
        id="we_test", secret=SECRET, url="https://x.test", status="enabled", enabled_events=["*"]
    )
    return reverse("stripe-webhook", args=[endpoint.djstripe_uuid])


def event(**changes):
    """An event of a type that nobody looks at."""
    found = {
        "id": "evt_1",
        "object": "event",
        "type": "customer.created",
        "livemode": False,
        "created": int(time.time()),
        "api_version": None,
        "data": {"object": {"id": "cus_1", "object": "customer"}},
    }
    return found | changes


def post(door, body, *, secret=SECRET, at=None, header=None):
    text = body if isinstance(body, (str, bytes)) else json.dumps(body)
    if header is None:
        signed = text if isinstance(text, str) else text.decode(errors="replace")
        header = stripe.WebhookSignature.generate_signature_header(
            signed, secret, int(time.time()) if at is None else at
        )
    client = Client(enforce_csrf_checks=True)
    return client.post(
        door, text, content_type="application/json", headers={"Stripe-Signature": header}
    )


def error_of(response, status):
    assert response.status_code == status
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert SECRET not in response.content.decode()
    return error


def test_a_signed_event_of_an_unknown_type_is_taken_and_not_kept(door):
    assert post(door, event()).status_code == 200
    assert not Event.objects.exists()


def test_forged_events_are_refused(door):
    good = json.dumps(event())
    now = int(time.time())
    signature = stripe.WebhookSignature.generate_signature_header(good, SECRET, now)
    v1 = signature.split("v1=")[1]
    error_of(post(door, event(), secret="whsec_guessed"), 400)
    error_of(post(door, good.replace("evt_1", "evt_2"), header=signature), 400)
    for header in (
        "",
        "nonsense",
        f"t={now}",
        f"t={now},v0={v1}",
        f"t={now},v1=",
        f"t={now + 1},v1={v1}",
        f"t={now},t={now},v1={v1}",
        f"v1={v1}",
        f"t=x,v1={v1}",
        f"t=-5,v1={v1}",
    ):
        error_of(post(door, good, header=header), 400)
    assert post(door, good, header=signature).status_code == 200
    error_of(post(door, b"\xff\xfe", header=signature), 400)


def test_stale_and_future_signatures_are_refused(door):
    for seconds in (-301, -100_000, 310, 100_000):
        error_of(post(door, event(), at=int(time.time()) + seconds), 400)
    for seconds in (-290, 290):  # a clock that is a little off is no harm
        assert post(door, event(), at=int(time.time()) + seconds).status_code == 200


def test_a_secret_from_the_sender_is_not_obeyed(door, settings):
    settings.DEBUG = True
    text = json.dumps(event())
    signed = stripe.WebhookSignature.generate_signature_header(text, "whsec_mine")
    response = Client().post(
        door,
        text,
        content_type="application/json",
        headers={"Stripe-Signature": signed, "X-Djstripe-Webhook-Secret": "whsec_mine"},
    )
    error_of(response, 400)


def test_an_endpoint_without_a_secret_verifies_nothing(door, caplog):
    WebhookEndpoint.objects.update(secret="")
    assert "secret" in error_of(post(door, event(), secret=""), 400)["message"]


def test_unknown_endpoints_and_other_methods(door):
    error_of(post(reverse("stripe-webhook", args=[uuid4()]), event()), 404)
    refused = Client().get(door)
    error_of(refused, 405)
    assert refused["Allow"] == "POST"


def test_an_oversized_event_is_refused_before_it_is_verified(door):
    large = event(padding="x" * MOST_BYTES)
    assert error_of(post(door, large), 413)["code"] == "request_too_large"
    text = json.dumps(event(padding="x"))
    fits = event(padding="x" * (MOST_BYTES - len(text) + 1))
    assert len(json.dumps(fits)) == MOST_BYTES
    assert post(door, fits).status_code == 200


def test_what_is_no_event_is_refused(door):
    for body in (
        "",
        "null",
        "[]",
        "{",
        '"text"',
        "[" * 100_000,
        json.dumps(event(id=7)),
        json.dumps(event(type=None)),
        json.dumps(event(data={})),
        json.dumps(event(data={"object": "cus_1"})),
        json.dumps(event(data={"object": {"id": 5}})),
    ):
        error_of(post(door, body), 400)


def test_live_events_are_not_for_a_test_key(door):
    assert error_of(post(door, event(livemode=True)), 400)["param"] == "livemode"


def test_an_event_of_an_unknown_customer_is_taken_quietly(door):
    """Nothing is asked of Stripe (there is none here) and nothing is kept."""
    about = {"id": "cs_1", "object": "checkout.session", "customer": "cus_of_another_product"}
    for type in LOOKS:
        assert post(door, event(type=type, data={"object": about})).status_code == 200
    assert not Event.objects.exists()
    assert not Payment.objects.exists()


@pytest.fixture
def away(settings, user):
    """Nobody can be asked; ``user`` is a customer."""
    settings.STRIPE_SECRET_KEY = "sk_test_" + "x" * 24
    settings.STRIPE_API_HOST = "http://127.0.0.1:9"  # nobody listens at the discard port
    return Customer.objects.create(user=user, stripe_id="cus_1")


def test_stripe_away_is_answered_so_that_it_is_sent_again(door, away):
    about = {"id": "cs_1", "object": "checkout.session", "customer": "cus_1"}
    sent = event(type="checkout.session.completed", data={"object": about})
    error_of(post(door, sent), 503)
    assert not Event.objects.exists()


@pytest.mark.parametrize(
    ("kind", "status"), [("top_up", 503), ("credits", 200), (None, 200), ("untold", 503)]
)
def test_of_intents_only_those_of_top_ups_are_asked_for(door, away, user, kind, status):
    """Of a session's and an invoice's (which name no order of a top-up) other events tell."""
    about = {"id": "pi_1", "object": "payment_intent", "customer": "cus_1"}
    if kind in ("top_up", "credits"):
        order = Order.objects.create(user=user, kind=kind, quantity=10, amount=100, currency="usd")
        about["metadata"] = {ORDER: str(order.pk)}
    elif kind is None:
        about["metadata"] = {}
    sent = event(type="payment_intent.succeeded", data={"object": about})
    assert post(door, sent).status_code == status
    assert Event.objects.exists() == (status == 200)


def test_we_ask_stripe_for_the_events_that_we_look_at():
    assert sorted(EVENTS) == sorted(LOOKS)
