"""The billing page in the demo mode, without a script: what it shows in each state, and its forms.

With Stripe, see ``test_pages_stripe``; by a browser, ``tests/browser/test_billing_*``.
"""

import re
from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from django.test import Client
from django.utils import timezone

from accounts import verbs as accounts
from billing import demo
from billing.models import CreditTier, DemoSubscription, Entitlement, Order, Plan, TopUp
from common.money import MICRO
from ledger import verbs

pytestmark = pytest.mark.django_db

PAGE = "/dashboard/billing/"


@pytest.fixture(autouse=True)
def demo_mode(settings):
    settings.ENABLE_PAYMENTS = False
    settings.PUBLIC_URL = "https://farebox.example"
    Plan.objects.filter(slug="pro").update(price=900)


def browser_of(user):
    EmailAddress.objects.get_or_create(
        user=user, email=user.email, defaults={"verified": True, "primary": True}
    )
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def browser(user):
    return browser_of(user)


def words(response):
    """The page's text, without tags and with single blanks."""
    text = re.sub(r"<(script|style).*?</\1>|<[^>]+>", " ", response.content.decode(), flags=re.S)
    return " ".join(text.split())


def entitle(user, **fields):
    now = timezone.now()
    given = {
        "plan": Plan.objects.get(slug="pro"),
        "source": "stripe",
        "period_start": now,
        "period_end": now + timedelta(days=30),
    }
    Entitlement.objects.update_or_create(user=user, defaults=given | fields)


def test_strangers_are_asked_to_sign_in():
    for path in (PAGE, PAGE + "demo/"):
        answer = Client().get(path)
        assert answer.status_code == 302
        assert answer["location"] == f"/accounts/login/?next={path}"


def test_somebody_without_a_subscription_is_shown_the_plans(browser):
    text = words(browser.get(PAGE))
    assert "Demo: nothing is charged." in text
    assert "You have no subscription." in text
    assert "$9.00 a month" in text
    assert "100 credits every month" in text
    assert "Internal" not in text


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"status": "active"}, "Pro active Renews on"),
        ({"status": "trialing", "trial_end": timedelta(days=14)}, "Pro trial Free until"),
        ({"status": "active", "cancel_at": timedelta(days=30)}, "Pro canceled It is yours until"),
        (
            {"status": "trialing", "cancel_at": timedelta(days=14)},
            "trial, canceled You have canceled it",
        ),
        (
            {"status": "past_due", "grace_until": timedelta(days=7)},
            "Pro payment failed The last payment failed. Fix it by",
        ),
        ({"status": "active", "source": "staff"}, "Pro active Given to you by the operator"),
        ({"status": "inactive", "source": "staff"}, "Pro inactive The operator has stopped it"),
    ],
)
def test_the_status_in_words(user, browser, fields, said):
    now = timezone.now()
    whole = {name: now + to if isinstance(to, timedelta) else to for name, to in fields.items()}
    entitle(user, **whole)
    assert said in words(browser.get(PAGE))


def test_an_order_is_paid_on_a_page_of_our_own_by_its_owner_alone(user, browser):
    answer = browser.post(PAGE + "subscribe/", {"plan": "pro"})
    order = Order.objects.get(user=user)
    there = f"/dashboard/checkout/{order.pk}/"
    assert (answer.status_code, answer["location"]) == (302, there)
    other = browser_of(accounts.create_user(email="eve@example.com"))
    assert other.get(there).status_code == 404
    assert other.post(there, {"do": "pay"}).status_code == 404
    assert "To pay today (demo) $9.00" in words(browser.get(there))

    declined = browser.post(there, {"do": "decline"})
    assert declined.status_code == 402
    assert "The card was declined" in words(declined)
    assert browser.post(there, {"do": "pay"})["location"] == f"{PAGE}?paid={order.pk}"
    assert browser.get(there)["location"] == f"{PAGE}?paid={order.pk}"  # paid once

    page = browser.get(PAGE, {"paid": order.pk})
    assert "Thank you. Your plan is Pro now." in words(page)
    assert "100 credits" in words(page)
    assert "Pro, a month (demo, nothing was paid) $9.00 paid" in words(page)
    assert "Thank you" not in words(other.get(PAGE, {"paid": order.pk}))

    # A page that is left open says it no more, least of all when the plan has ended meanwhile.
    Order.objects.update(ended=timezone.now() - timedelta(hours=1))
    Entitlement.objects.all().delete()
    later = words(browser.get(PAGE, {"paid": order.pk}))
    assert "Thank you" not in later
    assert "being confirmed" not in later


def test_who_has_a_plan_is_led_to_the_portal_instead_of_a_second_one(user, browser):
    browser.post(PAGE + "subscribe/", {"plan": "pro"})
    demo.pay(Order.objects.get(user=user), user)
    answer = browser.post(PAGE + "subscribe/", {"plan": "pro"})
    assert answer["location"] == PAGE + "demo/"
    assert DemoSubscription.objects.count() == 1


def test_canceling_resuming_and_changing_in_the_demo(user, browser):
    Plan.objects.create(slug="max", name="Max", price=2900, monthly_allowance=400 * MICRO)
    browser.post(PAGE + "subscribe/", {"plan": "max"})
    demo.pay(Order.objects.get(user=user), user)
    portal = PAGE + "demo/"
    for do, said in (
        ({"do": "cancel"}, "Canceled. Max is yours until"),
        ({"do": "resume"}, "Max goes on."),
        ({"do": "change", "plan": "pro"}, "Pro begins on"),
        ({"do": "keep"}, "Max stays."),
    ):
        assert said in words(browser.post(portal, do, follow=True))
    browser.post(portal, {"do": "change", "plan": "pro"})
    assert "it changes to Pro" in words(browser.get(PAGE))
    assert browser.post(portal, {"do": "explode"}).status_code == 400
    assert browser.post(portal, {"do": "change", "plan": "internal"}).status_code == 400


def test_without_a_subscription_there_is_nothing_to_cancel(browser):
    refused = browser.post(PAGE + "demo/", {"do": "cancel"})
    assert refused.status_code == 409
    assert "You have no plan to change" in words(refused)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "Type a whole number"),
        ("5.5", "Type a whole number"),
        ("1e309", "Type a whole number"),
        ("٥٠", "Type a whole number"),
        (str(2**63), "Type a whole number"),
        ("-7", "Type a whole number"),
        ("0", "Choose from 5 to 10,000 credits."),
        ("10001", "Choose from 5 to 10,000 credits."),
    ],
)
def test_a_quantity_that_can_not_be_bought_stays_with_what_is_wrong(browser, typed, said):
    refused = browser.post(PAGE + "credits/", {"quantity": typed})
    assert refused.status_code == 400
    assert said in words(refused)
    assert not typed or f'value="{typed}"' in refused.content.decode()
    assert not Order.objects.exists()


def test_the_price_of_a_quantity_by_the_servers_tiers(browser):
    CreditTier.objects.create(from_quantity=500, price="0.0825")
    text = words(browser.get(PAGE, {"quantity": "1,000"}))
    assert "$82.50 for 1,000 credits" in text
    assert "from 5: $0.10 each" in text
    assert "from 500: $0.0825 each" in text
    answer = browser.post(PAGE + "credits/", {"quantity": "1,000"})
    order = Order.objects.get()
    assert (order.quantity, order.amount) == (1000, 8250)
    assert answer["location"] == f"/dashboard/checkout/{order.pk}/"


def test_a_frozen_balance_says_why_and_what_to_do(user, wallet, fund, browser):
    bought = fund(wallet, 100 * MICRO)
    verbs.spend(account=wallet, amount=60_500_000, key="spent")
    verbs.revoke(grant=bought.grant, amount=100 * MICRO, key="refunded")
    page = browser.get(PAGE)
    assert "Your balance is frozen." in words(page)
    assert "60.5 credits are owed" in words(page)
    assert "Buy 61 credits to settle it" in words(page)
    assert 'href="/dashboard/billing/?quantity=61#credits"' in page.content.decode()
    assert 'value="61"' in browser.get(PAGE, {"quantity": 61}).content.decode()


def test_what_is_typed_for_automatic_top_up_stays_when_it_is_refused(user, browser):
    typed = {"enabled": "on", "threshold": "ten", "bundle": "100", "monthly_cap": "7"}
    refused = browser.post(PAGE + "top-up/", typed)
    assert refused.status_code == 400
    assert "When less than: Type a number" in words(refused)
    assert 'value="ten"' in refused.content.decode()
    refused = browser.post(PAGE + "top-up/", typed | {"threshold": "2.5"})
    assert "At most: Must be a whole number of credits from 100" in words(refused)
    assert not TopUp.objects.filter(enabled=True).exists()

    good = typed | {"threshold": "2.5", "monthly_cap": "300"}
    assert "is on: 100 credits" in words(browser.post(PAGE + "top-up/", good, follow=True))
    row = TopUp.objects.get(user=user)
    assert (row.threshold, row.quantity, row.monthly_cap) == (2_500_000, 100, 300)
    assert "is off" in words(browser.post(PAGE + "top-up/", {}, follow=True))
    assert not TopUp.objects.get(user=user).enabled


def test_the_mail_of_a_low_balance_can_be_switched(user, browser):
    browser.post(PAGE + "low-mail/", {})
    assert not TopUp.objects.get(user=user).low_balance_mail
    browser.post(PAGE + "low-mail/", {"low_mail": "on"})
    assert TopUp.objects.get(user=user).low_balance_mail


@pytest.mark.parametrize(
    "name", ["subscribe", "credits", "top-up", "low-mail", "portal", "confirm"]
)
def test_a_form_wants_its_token_and_leads_back_who_comes_by_a_link(user, name):
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    assert client.post(f"{PAGE}{name}/").status_code == 403
    assert client.get(f"{PAGE}{name}/")["location"] == PAGE


@pytest.mark.parametrize("paid", ["cs_test_unknown", "x", "", "0" * 36, "cs_" + "x" * 400])
def test_what_somebody_makes_up_as_paid_is_nothing(browser, paid):
    text = words(browser.get(PAGE, {"paid": paid}))
    assert "Thank you" not in text
    assert "being confirmed" not in text
    assert browser.post(PAGE + "confirm/", {"paid": paid})["location"] == PAGE


def test_the_front_page_leads_to_the_sign_up_and_then_to_the_plan(browser):
    html = Client().get("/").content.decode()
    assert 'href="/accounts/signup/?next=/dashboard/billing/%3Fplan=pro%23plans"' in html
    assert 'href="/dashboard/billing/?plan=pro#plans"' in browser.get("/").content.decode()


def test_the_price_is_shown_without_a_script_and_nothing_is_ordered(user, browser):
    answer = browser.post(PAGE + "credits/", {"quantity": "1,000", "do": "show"})
    assert (answer.status_code, answer["location"]) == (302, PAGE + "?quantity=1000#credits")
    assert "$100.00 for 1,000 credits" in words(browser.get(PAGE, {"quantity": "1000"}))
    assert not Order.objects.exists()
