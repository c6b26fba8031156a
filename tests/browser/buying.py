"""What somebody who buys does on the pages, and the web process that takes payments by Stripe."""

import re
from collections.abc import Mapping
from pathlib import Path

import httpx
from playwright.sync_api import Locator, Page, expect

from tests.browser import steps
from tests.browser.site import Site
from tests.fakes.smtp import FakeMail
from tests.fakes.stripe.handle import FakeStripe
from tests.proxy.server import Farebox


class PayingSite(Site):
    """A second web process on the site's database and Valkey, whose payments go to the fake
    Stripe. Mails are sent by the first one's worker."""

    def __init__(self, environment: Mapping[str, str], log: Path, stripe: FakeStripe) -> None:
        payments = {
            "STRIPE_SECRET_KEY": stripe.key,
            "STRIPE_API_HOST": stripe.url,
            "ENABLE_PAYMENTS": "true",
        }
        super().__init__({**environment, **payments}, log)

    def start(self) -> "PayingSite":
        Farebox.start(self)
        return self


def sign_up_for_pro(page: Page, mail: FakeMail, email: str) -> None:
    """From the front page's card to the billing page, by way of the sign-up."""
    page.goto("/")
    page.get_by_role("link", name="Subscribe to Pro").click()
    steps.submit(page, email=email, password1=steps.PASSWORD)
    steps.at(page, "/accounts/confirm-email/")
    steps.submit(page, code=mail.code_for(email))
    steps.at(page, "/dashboard/billing/")
    expect(plan(page)).to_have_text("Free")


def plan(page: Page) -> Locator:
    return page.locator("[data-account] .large")


def balance(page: Page) -> Locator:
    return page.locator("[data-say=available]")


def mark(page: Page) -> None:
    """What a reload would wipe out."""
    page.evaluate("window.marked = true")


def not_reloaded(page: Page) -> bool:
    return bool(page.evaluate("window.marked === true"))


def pay_by_card(page: Page, card: str = "4242 4242 4242 4242") -> None:
    """On the fake's Checkout page."""
    expect(page).to_have_url(re.compile("/c/pay/"))
    page.locator(f"[data-card='{card}']").click()
    page.locator("form:has([name=number]) button.main").click()


def make_key(page: Page) -> str:
    """An API key, by the page that makes one."""
    page.goto("/dashboard/keys/new/")
    steps.confirm_access(page)
    steps.submit(page, name="laptop")
    return page.locator("#secret").inner_text()


def stream_a_call(site: Site, key: str) -> None:
    """A call of the built-in model, to its end."""
    body = {
        "model": "demo",
        "stream": True,
        "messages": [{"role": "user", "content": "Hello"}],
    }
    headers = {"authorization": f"Bearer {key}"}
    with httpx.stream(
        "POST", f"{site.url}/v1/chat/completions", json=body, headers=headers, timeout=30
    ) as answer:
        lines = [line for line in answer.iter_lines() if line]
    assert answer.status_code == 200, lines
    assert lines[-1] == "data: [DONE]"
