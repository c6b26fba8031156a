"""The fake Stripe's pages through plain HTTP: what a person reads there, and what buttons do."""

import html
import re
from datetime import timedelta

import pytest
import requests

from tests.fakes.stripe.handle import DECLINED, PAYS

NEEDS_3DS = "4000002500003155"
MONTHLY = {"interval": "month"}
CARD = {"number": PAYS, "expiry": "12/34", "cvc": "123"}


@pytest.fixture
def fake(stripe_server):
    stripe_server.reset()
    return stripe_server


class Shop:
    """A customer, two plans, and a portal that sells both."""

    def __init__(self, fake):
        self.fake, self.v1 = fake, fake.api.v1
        self.customer = self.v1.customers.create({"email": "rider@example.com"})
        self.pro, self.team = self.plan("Pro", 1200), self.plan("Team", 4900)
        self.v1.billing_portal.configurations.create({"features": self.features()})

    def plan(self, name, amount):
        product = self.v1.products.create({"name": name})
        sold = {"unit_amount": amount, "currency": "usd", "recurring": MONTHLY}
        return self.v1.prices.create({"product": product.id, **sold})

    def features(self):
        on = {"enabled": True}
        sold = [{"product": one.product, "prices": [one.id]} for one in (self.pro, self.team)]
        update = {"default_allowed_updates": ["price"], "proration_behavior": "always_invoice"}
        update["schedule_at_period_end"] = {"conditions": [{"type": "decreasing_item_amount"}]}
        return {
            "invoice_history": on,
            "payment_method_update": on,
            "subscription_cancel": {**on, "mode": "at_period_end"},
            "subscription_update": {**on, **update, "products": sold},
        }

    def session(self, price=None, **more):
        sold = {"currency": "usd", "unit_amount": 1000, "product_data": {"name": "100 credits"}}
        line = {"price": price.id} if price else {"price_data": sold}
        told = {
            "mode": "subscription" if price else "payment",
            "customer": self.customer.id,
            "line_items": [{**line, "quantity": 1}],
            "success_url": "http://shop.test/done?session={CHECKOUT_SESSION_ID}",
            "cancel_url": "http://shop.test/plans",
            **more,
        }
        return self.v1.checkout.sessions.create(told)

    def subscribe(self, price, card=PAYS):
        session = self.session(price)
        subscription = self.fake.pay(session.id, card=card)["subscription"]
        return self.v1.subscriptions.retrieve(subscription)

    def portal(self):
        told = {"customer": self.customer.id, "return_url": "http://shop.test/dashboard"}
        return self.v1.billing_portal.sessions.create(told).url


@pytest.fixture
def shop(fake):
    return Shop(fake)


@pytest.fixture
def web():
    with requests.Session() as session:
        session.trust_env = False
        yield session


def text(answer):
    """What a page says, without its markup."""
    body = re.sub(r"<(style|script)>.*?</\1>", " ", answer.text, flags=re.S)
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", body).split()))


def press(web, url, **form):
    return web.post(url, data=form, allow_redirects=False)


def test_checkout_says_what_is_bought_and_leads_to_the_success_url(shop, web):
    session = shop.session()
    shown = web.get(session.url)
    assert shown.status_code == 200
    assert "100 credits" in text(shown)
    assert "Due today $10.00" in text(shown)
    assert 'href="http://shop.test/plans"' in shown.text
    done = press(web, session.url, **CARD)
    assert done.status_code == 303
    assert done.headers["Location"] == f"http://shop.test/done?session={session.id}"
    assert shop.v1.checkout.sessions.retrieve(session.id).payment_status == "paid"
    assert "This is done" in text(web.get(session.url or f"{shop.fake.url}/c/pay/{session.id}"))


def test_a_declined_card_is_said_and_another_may_be_tried(shop, web):
    session = shop.session()
    refused = press(web, session.url, **CARD | {"number": DECLINED})
    assert refused.status_code == 402
    assert "Your card was declined." in text(refused)
    assert f'value="{DECLINED}"' in refused.text
    assert shop.v1.checkout.sessions.retrieve(session.id).status == "open"
    assert press(web, session.url, **CARD).status_code == 303


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"number": "4242"}, "Your card number is incomplete."),
        ({"number": "4242424242424241"}, "not a test card"),
        ({"expiry": "13/34"}, "Your card's expiration date is incomplete."),
        ({"expiry": "10/26"}, "Your card's expiration date is in the past."),
        ({"cvc": "12"}, "Your card's security code is incomplete."),
    ],
)
def test_what_is_no_card_is_refused_before_it_is_charged(shop, web, wrong, message):
    session = shop.session()
    refused = press(web, session.url, **CARD | wrong)
    assert refused.status_code == 402
    said = text(refused)
    assert message in said or "non test card" in said
    assert shop.v1.checkout.sessions.retrieve(session.id).status == "open"


def test_a_promotion_code_lowers_the_total_and_a_wrong_one_is_said(shop, web):
    coupon = shop.v1.coupons.create({"percent_off": 25, "duration": "once"})
    told = {"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "WELCOME"}
    shop.v1.promotion_codes.create(told)
    session = shop.session(allow_promotion_codes=True)
    wrong = press(web, session.url, do="code", promotion_code="NOPE<b>")
    assert (wrong.status_code, "NOPE<b>" in wrong.text) == (402, False)
    assert press(web, session.url, do="code", promotion_code="WELCOME").status_code == 303
    assert "Due today $7.50" in text(web.get(session.url))
    press(web, session.url, **CARD)
    assert shop.v1.checkout.sessions.retrieve(session.id).amount_total == 750


def test_no_code_is_asked_for_where_none_is_taken(shop, web):
    assert "Promotion code" not in text(web.get(shop.session().url))


def test_a_trial_costs_nothing_today(shop, web):
    session = shop.session(shop.pro, subscription_data={"trial_period_days": 14})
    shown = text(web.get(session.url))
    assert "Due today $0.00" in shown
    assert "$12.00 per month" in shown
    assert "Start the trial" in shown
    press(web, session.url, **CARD)
    subscription = shop.v1.checkout.sessions.retrieve(session.id).subscription
    assert shop.v1.subscriptions.retrieve(subscription).status == "trialing"


@pytest.mark.parametrize("plan", [False, True])
@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
def test_the_bank_asks_and_the_answer_counts(shop, web, plan, outcome):
    session = shop.session(shop.pro if plan else None)
    asked = press(web, session.url, **CARD | {"number": NEEDS_3DS}).headers["Location"]
    assert asked.startswith("/authenticate/pi_")
    bank = shop.fake.url + asked
    assert "Your bank asks you to confirm" in text(web.get(bank))
    onward = press(web, bank, outcome=outcome).headers["Location"]
    now = shop.v1.checkout.sessions.retrieve(session.id)
    if outcome == "succeeded":
        assert onward == f"http://shop.test/done?session={session.id}"
        assert (now.status, now.payment_status) == ("complete", "paid")
    else:
        assert onward.startswith(f"/c/pay/{session.id}")
        assert now.status == "open"
        assert "unable to authenticate" in text(web.get(shop.fake.url + onward))
        assert press(web, session.url, **CARD).status_code == 303


def test_a_delayed_payment_completes_unpaid_and_arrives_from_the_first_page(shop, web):
    session = shop.session()
    assert press(web, session.url, method="delayed").status_code == 303
    now = shop.v1.checkout.sessions.retrieve(session.id)
    assert (now.status, now.payment_status) == ("complete", "unpaid")
    assert "waits for the bank" in text(web.get(shop.fake.url))
    press(web, f"{shop.fake.url}/delayed/{session.id}", outcome="succeeded")
    assert shop.v1.checkout.sessions.retrieve(session.id).payment_status == "paid"


def test_an_expired_session_says_so_and_takes_no_money(shop, web):
    session = shop.session()
    shop.fake.expire(session.id)
    page = f"{shop.fake.url}/c/pay/{session.id}"
    assert "This page has expired" in text(web.get(page))
    assert "This page has expired" in text(press(web, page, **CARD))
    assert shop.fake.state()["tables"]["charges"] == {}


def test_the_portal_moves_up_at_once_and_down_with_the_period(shop, web):
    subscription = shop.subscribe(shop.pro)
    portal = shop.portal()
    assert "Pro, $12.00 per month active" in text(web.get(portal))
    which = {"do": "change", "subscription": subscription.id}
    assert press(web, portal, **which, price=shop.team.id).status_code == 303
    assert "Team, $49.00 per month active" in text(web.get(portal))
    assert press(web, portal, **which, price=shop.pro.id).status_code == 303
    shown = text(web.get(portal))
    assert "Team, $49.00 per month active" in shown
    assert "Changes to Pro, $12.00 per month" in shown
    press(web, portal, do="stay", subscription=subscription.id)
    assert "Changes to" not in text(web.get(portal))


def test_the_portal_cancels_and_undoes_it(shop, web):
    subscription = shop.subscribe(shop.pro)
    portal = shop.portal()
    press(web, portal, do="cancel", subscription=subscription.id)
    assert shop.v1.subscriptions.retrieve(subscription.id).cancel_at_period_end
    assert "Keep the plan" in text(web.get(portal))
    press(web, portal, do="resume", subscription=subscription.id)
    assert not shop.v1.subscriptions.retrieve(subscription.id).cancel_at_period_end


def test_the_portal_replaces_the_card_unless_it_is_declined(shop, web):
    shop.subscribe(shop.pro)
    portal = shop.portal()
    refused = press(web, portal, do="card", **CARD | {"number": DECLINED})
    assert (refused.status_code, "Your card was declined." in text(refused)) == (402, True)
    assert "Visa ending in 4242" in text(refused)
    press(web, portal, do="card", **CARD | {"number": "5555 5555 5555 4444"})
    assert "Mastercard ending in 4444" in text(web.get(portal))


def test_the_portal_acts_for_its_own_customer_and_offers_what_is_configured(shop, web):
    subscription = shop.subscribe(shop.pro)
    portal = shop.portal()
    other = shop.plan("Hidden", 100)
    shop.customer = shop.v1.customers.create({"email": "else@example.com"})
    strange = shop.portal()
    stolen = press(web, strange, do="cancel", subscription=subscription.id)
    hidden = press(web, portal, do="change", subscription=subscription.id, price=other.id)
    unknown = press(web, portal, do="delete", subscription=subscription.id)
    assert [one.status_code for one in (stolen, hidden, unknown)] == [402] * 3
    now = shop.v1.subscriptions.retrieve(subscription.id)
    assert (now.cancel_at_period_end, now["items"].data[0].price.id) == (False, shop.pro.id)


def test_an_invoice_is_read_printed_and_its_receipt_shown(shop, web):
    subscription = shop.subscribe(shop.pro)
    invoice = shop.v1.invoices.retrieve(subscription.latest_invoice)
    shown = text(web.get(invoice.hosted_invoice_url))
    assert invoice.number in shown
    assert "paid" in shown
    assert "Total $12.00" in text(web.get(invoice.invoice_pdf))
    [charge] = shop.v1.charges.list().data
    assert "Visa ending in 4242" in text(web.get(charge.receipt_url))


def test_a_failed_renewal_is_paid_on_the_invoices_page(shop, web):
    subscription = shop.subscribe(shop.pro)
    shop.fake.replace_card(shop.customer.id, "4000000000000341")
    shop.fake.advance(shop.fake.now + timedelta(days=32))
    invoice = shop.v1.invoices.retrieve(
        shop.v1.subscriptions.retrieve(subscription.id).latest_invoice
    )
    assert invoice.status == "open"
    assert "Pay $12.00" in text(web.get(invoice.hosted_invoice_url))
    assert press(web, invoice.hosted_invoice_url, **CARD | {"number": DECLINED}).status_code == 402
    assert press(web, invoice.hosted_invoice_url, **CARD).status_code == 303
    assert shop.v1.subscriptions.retrieve(subscription.id).status == "active"


def test_a_renewal_that_wants_its_cardholder_is_confirmed_from_the_invoice(shop, web):
    subscription = shop.subscribe(shop.pro)
    shop.fake.replace_card(shop.customer.id, NEEDS_3DS)
    shop.fake.advance(shop.fake.now + timedelta(days=32))
    latest = shop.v1.subscriptions.retrieve(subscription.id).latest_invoice
    page = shop.v1.invoices.retrieve(latest).hosted_invoice_url
    shown = web.get(page)
    assert "The bank wants this payment confirmed" in text(shown)
    [bank] = re.findall(r'href="(/authenticate/pi_\w+)"', shown.text)
    onward = press(web, shop.fake.url + bank, outcome="succeeded").headers["Location"]
    assert "paid" in text(web.get(shop.fake.url + onward))
    assert shop.v1.subscriptions.retrieve(subscription.id).status == "active"


def test_the_first_page_lists_customers_and_turns_the_clock(shop, web):
    shop.subscribe(shop.pro)
    home = f"{shop.fake.url}/"
    shown = text(web.get(home))
    assert "rider@example.com" in shown
    assert "Pro, $12.00 per month active" in shown
    before = shop.fake.now
    press(web, f"{home}clock", step="month")
    assert shop.fake.now - before >= timedelta(days=28)
    press(web, f"{home}clock", step="day")
    assert len(shop.v1.invoices.list().data) == 2
    press(web, f"{home}clock", step="real")
    assert shop.fake.now - before < timedelta(hours=1)


def test_the_first_page_refunds_and_disputes(shop, web):
    for _ in range(2):
        shop.fake.pay(shop.session().id)
    one, two = shop.v1.charges.list().data
    press(web, f"{shop.fake.url}/charges/{one.id}", do="refund")
    press(web, f"{shop.fake.url}/charges/{two.id}", do="dispute")
    assert shop.v1.charges.retrieve(one.id).refunded
    [dispute] = shop.v1.disputes.list().data
    assert dispute.charge == two.id
    press(web, f"{shop.fake.url}/disputes/{dispute.id}", status="won")
    assert shop.v1.disputes.retrieve(dispute.id).status == "won"
    assert "dispute won" in text(web.get(shop.fake.url))


def test_what_people_typed_is_never_markup(shop, web):
    evil = "<script>alert(1)</script>"
    shop.v1.customers.update(shop.customer.id, {"email": f"{evil}@example.com", "name": evil})
    shop.pro = shop.plan(evil, 500)
    subscription = shop.subscribe(shop.pro)
    invoice = shop.v1.invoices.retrieve(subscription.latest_invoice)
    pages = [shop.fake.url, shop.portal(), shop.session(shop.pro).url]
    for url in [*pages, invoice.hosted_invoice_url, invoice.invoice_pdf]:
        shown = web.get(url)
        assert shown.status_code == 200
        assert evil not in shown.text
        assert evil in text(shown)


@pytest.mark.parametrize(
    "path",
    ["/c/pay/cs_no", "/p/session/bps_no", "/i/in_no", "/authenticate/pi_no", "/receipt/ch_no"],
)
def test_an_unknown_page_is_said_to_be_none(fake, web, path):
    shown = web.get(fake.url + path)
    assert shown.status_code == 404
    assert "No such" in text(shown)


def test_another_sites_page_presses_no_button(shop, web):
    before = shop.fake.now
    form, origin = {"step": "month"}, {"Origin": "http://evil.test"}
    assert web.post(f"{shop.fake.url}/clock", data=form, headers=origin).status_code == 403
    assert shop.fake.now - before < timedelta(hours=1)
