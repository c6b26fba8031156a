"""A job's way, while it happens: on the account's socket, and on the dashboard in a browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.hashers import make_password
from playwright.sync_api import Browser, Page, expect

from tests.accounts.sockets.client import key_headers, open_told
from tests.browser import steps
from tests.browser.arguments import ARGUMENTS
from tests.browser.complaints import Complaints
from tests.browser.conftest import chromium_path, complaints, playing
from tests.fakes.providers import FakeProviders
from tests.jobs.asking import chat
from tests.jobs.crew import Crew, Customer
from tests.jobs.paced import PacedProvider
from tests.proxy.riders import Rider

__all__ = ["chromium_path", "complaints"]
pytestmark = pytest.mark.xdist_group("jobs-slow")


@pytest.fixture(autouse=True)
def _quick_hashes() -> None:
    """Not here: who signs in at a server's process has the hash that it makes."""


@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Browser]:
    """It has ended with this file: others of the folder have loops of their own."""
    with playing() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def provider() -> Iterator[PacedProvider]:
    provider = PacedProvider()
    yield provider
    provider.close()


@pytest.fixture
def crew(
    fake: FakeProviders,
    provider: PacedProvider,
    database_url: str,
    clean_books: bool,
    tmp_path: Path,
) -> Iterator[Crew]:
    paced = {"OPENAI_BASE_URL": provider.base_url, "JOB_BATCH_AT_ONCE": "1"}
    crew = Crew(fake, database_url, tmp_path, **paced)
    try:
        yield crew.start()
    finally:
        crew.stop()


@pytest.fixture
def page(crew: Crew, browser: Browser, complaints: Complaints, rider: Rider) -> Iterator[Page]:
    """Where the rider is signed in."""
    rider.user.password = make_password(steps.PASSWORD)
    rider.user.save()
    context = browser.new_context(base_url=crew.web.url)
    context.set_default_timeout(30_000)
    complaints.watch(context)
    page = context.new_page()
    steps.enter_password(page, rider.user.email)
    steps.signed_in(page, rider.user.email)
    yield page
    context.close()


def test_progress_is_heard_and_seen(
    crew: Crew, provider: PacedProvider, rider: Rider, page: Page
) -> None:
    """Each of a batch's four waits until the one before was heard and seen."""
    customer = Customer(crew, rider)
    with open_told(crew.web, key_headers(rider.secret)) as socket:
        job = customer.make("batch", {"requests": [chat(f"item {n}") for n in range(4)]})

        def heard(state: str, **fields: int) -> None:
            about = {"id": job, "kind": "batch", "state": state} | fields
            assert socket.until("job", 30, job=about)

        heard("running")
        page.goto(f"/dashboard/jobs/{job}/")
        shown = page.locator("[data-live=job]")
        expect(shown).to_contain_text("running")
        expect(shown.get_by_role("progressbar")).to_have_attribute("value", "0")
        page.evaluate("window.stays = true")
        for number in range(1, 5):
            provider.release()
            heard("done" if number == 4 else "running", done=number, failed=0)
            expect(shown.get_by_role("progressbar")).to_have_attribute("value", str(25 * number))
        expect(shown).to_contain_text("4 done, 0 failed, of 4")
        expect(shown.get_by_role("link", name="The result")).to_be_visible()
        assert page.evaluate("window.stays"), "the page was not loaded anew"
