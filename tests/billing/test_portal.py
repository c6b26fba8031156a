"""POST /api/billing/portal: for people who are signed in, never for a key."""

import pytest

from billing.models import Customer, Setup
from tests.billing.buying import error_of, post, signed_in, with_key


@pytest.fixture
def client(user):
    return signed_in(user)


def test_the_portal_opens_for_its_owner(fake_stripe, client, user, settings):
    answer = post(client, "portal", {})
    assert answer.status_code == 200
    assert answer.json()["url"].startswith(f"{fake_stripe.url}/p/session/")
    [session] = fake_stripe.state()["tables"]["portal_sessions"].values()
    assert session["customer"] == Customer.objects.get(user=user).stripe_id
    assert session["configuration"] == Setup.objects.get(name="portal").stripe_id
    assert session["return_url"] == f"{settings.PUBLIC_URL}/dashboard/billing/"


def test_no_key_opens_it(fake_stripe, client, api_key):
    answer = post(client, "portal", {}, **with_key(api_key.secret))
    assert (answer.status_code, error_of(answer)["code"]) == (403, "permission_denied")
    assert not Customer.objects.exists()


def test_a_body_is_not_needed(fake_stripe, client):
    assert post(client, "portal", "").status_code == 200


def test_stripe_is_away(fake_stripe, client):
    fake_stripe.fault(path="/v1/billing_portal/sessions", drop=True, times=10)
    answer = post(client, "portal", {})
    assert answer.status_code == 503
    assert answer["retry-after"]
    fake_stripe.clear_faults()
    assert post(client, "portal", {}).status_code == 200


def test_the_customer_is_gone_from_stripe(fake_stripe, client, user):
    post(client, "portal", {})
    fake_stripe.api.v1.customers.delete(Customer.objects.get(user=user).stripe_id)
    assert post(client, "portal", {}).status_code == 200


def test_the_demo_mode_has_a_page_of_its_own(proved, client, settings):
    settings.ENABLE_PAYMENTS = False
    url = post(client, "portal", {}).json()["url"]
    assert url.startswith(f"{settings.PUBLIC_URL}/dashboard/")
    assert client.get(url.removeprefix(settings.PUBLIC_URL)).status_code == 200
