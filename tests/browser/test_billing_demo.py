"""Show 1 of billing in the demo mode: the same way, on pages of our own, and nothing is paid."""

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from billing import demo
from billing.models import DemoSubscription, Order, Plan
from tests.browser import buying, steps

EMAIL = "ada@example.com"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
def pro_is_sold(site):
    Plan.objects.filter(slug="pro").update(price=900)


def test_the_whole_way_without_stripe(site, pro_is_sold, narrow_page, mail, complaints):
    complaints.expect("402")  # the card that is declined
    page = narrow_page
    buying.sign_up_for_pro(page, mail, EMAIL)
    expect(page.get_by_text("Demo: nothing is charged.")).to_be_visible()

    page.get_by_role("button", name="Subscribe to Pro").click()
    page.get_by_role("button", name="Decline (demo)").click()
    expect(page.get_by_role("alert")).to_contain_text("declined")
    expect(page.get_by_text("$9.00").first).to_be_visible()
    page.get_by_role("button", name="Pay (demo)").click()
    expect(page.get_by_text("Thank you. Your plan is Pro now.")).to_be_visible()
    expect(buying.plan(page)).to_have_text("Pro")
    expect(buying.balance(page)).to_have_text("101")
    assert page.evaluate(OVERFLOW) <= 0, "the page scrolls sideways"

    key = buying.make_key(page)
    page.goto("/dashboard/")
    buying.mark(page)
    buying.stream_a_call(site, key)
    expect(buying.balance(page)).not_to_have_text("101")
    assert buying.not_reloaded(page)

    page.goto("/dashboard/billing/")
    page.locator("[name=quantity]").fill("50")
    expect(page.get_by_text("$5.00 for 50 credits")).to_be_visible()
    page.get_by_role("button", name="Buy", exact=True).click()
    page.get_by_role("button", name="Pay (demo)").click()
    expect(page.get_by_text("Thank you. 50 credits were added to your balance.")).to_be_visible()
    assert Order.objects.filter(demo=True, state=Order.State.PAID).count() == 2

    page.get_by_role("button", name="Manage subscription, card and invoices").click()
    steps.at(page, "/dashboard/billing/demo/")
    page.get_by_role("button", name="Cancel at the end of the period").click()
    page.get_by_role("button", name="Keep the plan").click()
    page.get_by_role("button", name="Cancel at the end of the period").click()
    expect(page.get_by_text("It is yours until")).to_be_visible()

    DemoSubscription.objects.update(period_end=timezone.now())
    assert demo.renew() == 1
    page.goto("/dashboard/billing/")
    expect(buying.plan(page)).to_have_text("Free")
    expect(page.get_by_text("Your subscription ended on")).to_be_visible()
