"""Show 1 of billing: from the front page to the end of a subscription, with Stripe (the fake)."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from playwright.sync_api import expect

from billing.models import Entitlement, Plan
from tests.browser import buying, steps
from tests.browser.buying import PayingSite
from tests.browser.site import Site
from tests.fakes.stripe.handle import FakeStripe

EMAIL = "ada@example.com"


@pytest.fixture(scope="module")
def stripe() -> Iterator[FakeStripe]:
    with FakeStripe(real_signatures=True) as fake:  # its clock runs ahead of the server's
        yield fake


@pytest.fixture(scope="module")
def paying_process(
    running_site: Site, stripe: FakeStripe, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PayingSite]:
    log = tmp_path_factory.mktemp("paying") / "web.log"
    process = PayingSite(running_site.environment, log, stripe).start()
    yield process
    process.stop()


@pytest.fixture
def paying_site(
    site: Site, paying_process: PayingSite, stripe: FakeStripe, settings: Any
) -> Iterator[PayingSite]:
    """The plan ``pro`` for 9.00 a month, at Stripe too; and what Stripe sends arrives."""
    Plan.objects.filter(slug="pro").update(price=900)
    settings.STRIPE_SECRET_KEY, settings.STRIPE_API_HOST = stripe.key, stripe.url
    settings.ENABLE_PAYMENTS, settings.PUBLIC_URL = True, paying_process.url
    stripe.reset()
    call_command("sync_plans", verbosity=0)
    start = paying_process.log_size
    yield paying_process
    stripe.reset()
    log = paying_process.log_text(start)
    assert "Traceback" not in log, log[-8_000:]
    assert stripe.key not in log


def test_from_the_front_page_to_the_end_of_a_plan(paying_site, stripe, new_page, mail):
    page = new_page(base_url=paying_site.url)
    buying.sign_up_for_pro(page, mail, EMAIL)

    # Stripe's message is late: the page says so, and changes by itself when it comes.
    stripe.pause()
    page.get_by_role("button", name="Subscribe to Pro").click()
    buying.pay_by_card(page)
    steps.at(page, "/dashboard/billing/")
    buying.mark(page)
    stripe.resume(replay=True)
    expect(page.get_by_text("Thank you. Your plan is Pro now.")).to_be_visible()
    expect(buying.plan(page)).to_have_text("Pro")
    expect(buying.balance(page)).to_have_text("101")  # the free plan's credit, and a hundred
    assert buying.not_reloaded(page)

    key = buying.make_key(page)
    page.goto("/dashboard/billing/")
    buying.mark(page)
    buying.stream_a_call(paying_site, key)
    expect(buying.balance(page)).not_to_have_text("101")
    assert buying.not_reloaded(page)

    # Stripe's message is lost: the page has Stripe asked.
    stripe.pause()
    page.locator("[name=quantity]").fill("100")
    expect(page.get_by_text("$10.00 for 100 credits")).to_be_visible()
    page.get_by_role("button", name="Buy", exact=True).click()
    buying.pay_by_card(page)
    expect(page.get_by_text("Thank you. 100 credits were added to your balance.")).to_be_visible()
    expect(buying.balance(page)).to_contain_text("200.")
    stripe.resume()

    page.get_by_role("button", name="Manage subscription, card and invoices").click()
    page.get_by_role("button", name="Cancel the plan").click()
    page.get_by_role("link", name="Back").click()
    steps.at(page, "/dashboard/billing/")
    expect(page.get_by_text("It is yours until")).to_be_visible()
    stripe.settled()

    now = Entitlement.objects.get(user__email=EMAIL)
    assert now.cancel_at is not None
    buying.mark(page)
    stripe.advance(now.cancel_at + timedelta(hours=1))
    expect(buying.plan(page)).to_have_text("Free")
    expect(page.get_by_text("Your subscription ended on")).to_be_visible()
    expect(page.get_by_role("button", name="Subscribe to Pro")).to_be_visible()
    assert buying.not_reloaded(page)
