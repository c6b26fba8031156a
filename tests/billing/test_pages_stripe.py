"""The billing page with Stripe: on to Checkout and back, though Stripe or its message be away."""

import re
from html import unescape

import pytest
from allauth.account.models import EmailAddress
from django.test import Client, RequestFactory

from accounts import verbs as accounts
from billing.models import Entitlement, Order
from billing.pages import leave_for
from common.money import MICRO
from ledger.models import Account

PAGE = "/dashboard/billing/"


def browser_of(user):
    EmailAddress.objects.get_or_create(
        user=user, email=user.email, defaults={"verified": True, "primary": True}
    )
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def browser(fake_stripe, user):
    return browser_of(user)


def words(response):
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split()))


def form_action(response):
    policy = response["content-security-policy"]
    return next(part for part in policy.split("; ") if part.startswith("form-action")).split()[1:]


def test_to_checkout_by_a_form_that_the_policy_lets_go_there(browser, fake_stripe, user):
    page = browser.get(PAGE)
    assert "Demo" not in words(page)
    assert form_action(page) == ["'self'", fake_stripe.url]
    assert form_action(browser.get("/")) == ["'self'"]
    answer = browser.post(PAGE + "subscribe/", {"plan": "pro"})
    assert answer.status_code == 302
    assert answer["location"] == Order.objects.get(user=user).url
    assert answer["location"].startswith(fake_stripe.url)


def test_to_a_checkout_that_has_a_domain_of_its_own(settings):
    settings.ENABLE_PAYMENTS, settings.STRIPE_API_HOST = True, ""
    request = RequestFactory().post(PAGE)
    assert leave_for(request, "https://checkout.stripe.com/c/pay/x").status_code == 302
    page = leave_for(request, "https://pay.example.com/c/pay/x?a=1&b=2")
    assert page.status_code == 200
    assert 'href="https://pay.example.com/c/pay/x?a=1&amp;b=2"' in page.content.decode()
    assert 'content="0; url=https://pay.example.com/' in page.content.decode()


def test_stripe_is_away_and_nothing_typed_is_lost(browser, fake_stripe, user):
    fake_stripe.fault(
        path="/v1/checkout", status=503, body={"error": {"type": "api_error"}}, times=9
    )
    answer = browser.post(PAGE + "credits/", {"quantity": "123"})
    assert answer.status_code == 503
    assert "Stripe can't be reached now. Try again in a moment;" in words(answer)
    assert 'value="123"' in answer.content.decode()
    assert answer["retry-after"]
    assert browser.get(PAGE).status_code == 200  # which asks Stripe nothing
    fake_stripe.clear_faults()
    assert browser.post(PAGE + "credits/", {"quantity": "123"}).status_code == 302


def test_a_lost_message_is_made_up_for_by_the_buyers_page_alone(browser, fake_stripe, user):
    browser.post(PAGE + "subscribe/", {"plan": "pro"})
    session = Order.objects.get(user=user).stripe_id
    fake_stripe.pay(session)  # and no event is sent
    page = browser.get(PAGE, {"paid": session})
    assert "Pro: the payment is being confirmed." in words(page)
    assert "data-waiting" in page.content.decode()

    eve = browser_of(accounts.create_user(email="eve@example.com"))
    eve.post(PAGE + "confirm/", {"paid": session})
    assert "being confirmed" not in words(eve.get(PAGE, {"paid": session}))
    assert not Entitlement.objects.exists()

    quiet = browser.post(
        PAGE + "confirm/", {"paid": session}, headers={"accept": "application/json"}
    )
    assert quiet.json() == {}
    page = browser.get(PAGE, {"paid": session})
    assert "Thank you. Your plan is Pro now." in words(page)
    assert "data-waiting" not in page.content.decode()
    assert "Renews on" in words(page)
    assert "for $9.00." in words(page)
    assert Account.objects.get(owner=user).posted == 100 * MICRO
    assert "Change plan" in words(page)  # to the other one that is sold
    assert browser.post(PAGE + "portal/")["location"].startswith(fake_stripe.url)


def test_walking_away_paying_later_and_a_bank_that_says_no(browser, fake_stripe, user):
    browser.post(PAGE + "credits/", {"quantity": "50"})
    session = Order.objects.get(user=user).stripe_id
    answer = browser.post(PAGE + "confirm/", {"paid": session})
    assert answer["location"] == f"{PAGE}?paid={session}"
    assert "50 credits: the payment is being confirmed." in words(browser.get(answer["location"]))
    fake_stripe.pay(session, card="delayed")
    browser.post(PAGE + "confirm/", {"paid": session})
    page = words(browser.get(PAGE, {"paid": session}))
    assert "50 credits: your bank is still sending the money." in page
    fake_stripe.end_delayed(session, "failed")
    browser.post(PAGE + "confirm/", {"paid": session})
    page = words(browser.get(PAGE, {"paid": session}))
    assert "50 credits: the payment did not go through, and nothing was added." in page
    assert not Account.objects.filter(owner=user, posted__gt=0).exists()


def test_stripe_is_away_when_it_is_asked_whether_it_was_paid(browser, fake_stripe, user):
    browser.post(PAGE + "credits/", {"quantity": "50"})
    session = Order.objects.get(user=user).stripe_id
    fake_stripe.pay(session)
    fake_stripe.fault(method="GET", path="/v1/checkout", drop=True, times=9)
    answer = browser.post(PAGE + "confirm/", {"paid": session}, follow=True)
    assert "Stripe can't be asked now. If you paid, nothing is lost" in words(answer)
    assert "being confirmed" in words(answer)
    fake_stripe.clear_faults()
    answer = browser.post(PAGE + "confirm/", {"paid": session}, follow=True)
    assert "Thank you. 50 credits were added to your balance." in words(answer)
