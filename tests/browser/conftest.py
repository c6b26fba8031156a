"""The browser's tests: a real Chromium before a real Farebox, with Google, GitHub, a mail server.

``site`` runs for all tests of an xdist worker. ``page`` is a browser window of somebody new to it,
``narrow_page`` one the width of a telephone, ``new_page()`` opens another person's. When a test is
over, no page of it has complained: no error in a console, nothing that the content security policy
refused, no answer 5xx. What a test expects there it takes out with ``complaints.expect``.
"""

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.db import connection
from django.test import override_settings
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright
from psycopg.conninfo import make_conninfo

from accounts import extensions
from accounts import verbs as accounts
from accounts.models import User
from devtools import chromium as browsers
from devtools.environment import flag
from tests.browser.arguments import ARGUMENTS, with_extensions
from tests.browser.complaints import Complaints
from tests.browser.panel import Panel
from tests.browser.settings import PASSWORD_HASHERS
from tests.browser.site import (
    EXTENSION,
    FOREIGN_EXTENSION,
    OwnValkey,
    Site,
    site_environment,
)
from tests.browser.steps import PASSWORD
from tests.emptying import empty, leave_models
from tests.fakes.identity import FakeGitHub, FakeGoogle
from tests.fakes.smtp import FakeMail
from tests.planting import plant_beside_models
from tests.proxy.server import SECRET_KEY, wait_for
from usage.sync import sync_models

KEPT = {
    "django_migrations", "django_content_type", "auth_permission", "usage_aimodel", "usage_price",
    "usage_provider", "usage_providerkey", "usage_modelroute",
    "django_site",
}  # fmt: skip
WIDE = {"width": 1280, "height": 900}
NARROW = {"width": 390, "height": 844}
WAIT_MS = 30_000  # for a loaded machine; nothing waits longer than it takes

logging.getLogger("httpx").setLevel(logging.WARNING)


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Skips the test where there is no Chromium, unless ``FAREBOX_REQUIRE_BROWSER`` is true."""
    path = browsers.find(os.environ)
    if not path:
        if flag(os.environ, "FAREBOX_REQUIRE_BROWSER", False):
            pytest.fail(browsers.MISSING)
        pytest.skip(browsers.MISSING)
    return path


@pytest.fixture(scope="session")
def google() -> Iterator[FakeGoogle]:
    with FakeGoogle() as fake:
        yield fake


@pytest.fixture(scope="session")
def github() -> Iterator[FakeGitHub]:
    with FakeGitHub() as fake:
        yield fake


@pytest.fixture(scope="session")
def mail() -> Iterator[FakeMail]:
    with FakeMail() as fake:
        yield fake


@pytest.fixture(scope="session")
def valkey() -> Iterator[OwnValkey]:
    # Not below pytest's own folder, which is closed to the user that the server runs as.
    folder = Path(tempfile.mkdtemp(prefix="fb-"))
    own = OwnValkey(folder)
    yield own
    own.stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def running_site(
    chromium_path: str,
    django_db_setup: None,
    django_db_blocker: Any,
    valkey: OwnValkey,
    mail: FakeMail,
    google: FakeGoogle,
    github: FakeGitHub,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    with django_db_blocker.unblock():
        _restore_catalog()
    environment = site_environment(_database_url(), valkey, mail, google, github)
    site = Site(environment, tmp_path_factory.mktemp("site") / "web.log").start()
    google.allow(f"{site.url}/accounts/google/login/callback/")
    github.allow(f"{site.url}/accounts/github/login/callback/")
    yield site
    site.stop()


@pytest.fixture
def clean_books(running_site: Site, valkey: OwnValkey, django_db_blocker: Any) -> Iterator[None]:
    """As everywhere, but what the running site reads at its start stays."""
    with django_db_blocker.unblock():
        if _restore_catalog():
            _wait_for_catalog(running_site)
        yield
        leave_models()
        empty(KEPT)
        plant_beside_models()
        valkey.forget()
        connection.close()


@pytest.fixture
def site(
    running_site: Site,
    proved: None,
    mail: FakeMail,
    google: FakeGoogle,
    github: FakeGitHub,
) -> Iterator[Site]:
    """The running site, with nobody in it; its log says nothing of an unforeseen error or a
    secret when the test is over."""
    for fake in (google, github):
        fake.reset()
    mail.clear()
    start = running_site.log_size
    yield running_site
    log = running_site.log_text(start)
    assert "Traceback" not in log, log[-8_000:]
    for secret in (SECRET_KEY, google.client_secret, github.client_secret):
        assert secret not in log


@contextmanager
def playing() -> Iterator[Playwright]:
    """Its loop runs in this thread between its calls, where Django would not let us query."""
    with pytest.MonkeyPatch.context() as patched, sync_playwright() as playwright:
        patched.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        expect.set_options(timeout=WAIT_MS)
        yield playwright


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    """For this folder alone: tests of others have loops of their own, and find none running."""
    with playing() as playwright:
        yield playwright


@pytest.fixture(scope="package")
def browser(chromium_path: str, playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
    yield browser
    browser.close()


@pytest.fixture
def complaints() -> Iterator[Complaints]:
    complaints = Complaints()
    yield complaints
    complaints.assert_none()


@pytest.fixture
def new_page(site: Site, browser: Browser, complaints: Complaints) -> Iterator[Callable[..., Page]]:
    """Opens windows that share nothing: each is another person's, or another machine."""
    opened: list[BrowserContext] = []

    def new_page(**options: Any) -> Page:
        options = {"viewport": WIDE, "base_url": site.url} | options
        opened.append(browser.new_context(**options))
        opened[-1].set_default_timeout(WAIT_MS)
        complaints.watch(opened[-1])
        return opened[-1].new_page()

    yield new_page
    for context in opened:
        context.close()


@pytest.fixture
def ada(site: Site) -> User:
    """Somebody whose password is ``steps.PASSWORD``, and whose address is verified."""
    user = accounts.create_user(email="ada@example.com")
    user.set_password(PASSWORD)
    user.save()
    return user


@pytest.fixture
def page(new_page: Callable[..., Page]) -> Page:
    return new_page()


@pytest.fixture
def narrow_page(new_page: Callable[..., Page]) -> Page:
    return new_page(viewport=NARROW, has_touch=True, is_mobile=True)


@pytest.fixture(scope="package")
def extensions_browser(
    running_site: Site,
    playwright: Playwright,
    chromium_path: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[BrowserContext]:
    """A browser with the test extension, and with a copy of it that goes by another id."""
    if not browsers.loads_extensions(chromium_path):
        pytest.skip(f"{chromium_path} loads no extension of one's own; a Chromium does")
    folder = tmp_path_factory.mktemp("browser")
    context = playwright.chromium.launch_persistent_context(
        str(folder / "profile"),
        executable_path=chromium_path,
        args=with_extensions(folder / "foreign"),
        viewport=WIDE,
        base_url=running_site.url,
    )
    context.set_default_timeout(WAIT_MS)
    yield context
    context.close()


@pytest.fixture
def extensions_context(
    extensions_browser: BrowserContext, site: Site, complaints: Complaints
) -> Iterator[BrowserContext]:
    """That browser, knowing nobody."""
    context = extensions_browser
    complaints.watch(context)
    yield context
    for page in context.pages[1:]:  # the first is no test's, and keeps the browser open
        page.close()
    complaints.leave(context)
    context.clear_cookies()


@pytest.fixture
def panel(extensions_context: BrowserContext, site: Site, complaints: Complaints) -> Panel:
    """The panel of the extension that ``EXTENSION_IDS`` lists."""
    return Panel(extensions_context, EXTENSION, site, complaints)


@pytest.fixture
def foreign_panel(extensions_context: BrowserContext, site: Site, complaints: Complaints) -> Panel:
    return Panel(extensions_context, FOREIGN_EXTENSION, site, complaints)


def _database_url() -> str:
    settings = connection.settings_dict
    return make_conninfo(
        dbname=settings["NAME"],
        user=settings["USER"] or None,
        password=settings["PASSWORD"] or None,
        host=settings["HOST"] or None,
        port=settings["PORT"] or None,
    )


def _restore_catalog() -> bool:
    """The built-in model and the extension's client; true when tests of other folders had removed
    the model."""
    with override_settings(EXTENSION_IDS=[EXTENSION]):
        extensions.sync()
    return bool(sync_models().added)


def _wait_for_catalog(site: Site) -> None:
    somebody = accounts.create_user(email="catalog@example.com")
    headers = {"authorization": f"Bearer {accounts.issue_key(user=somebody, name='t').secret}"}

    def knows_models() -> bool:
        return bool(httpx.get(f"{site.url}/v1/models", headers=headers).json().get("data"))

    wait_for(knows_models, 30, "the site has read the catalog anew")
    somebody.delete()


@pytest.fixture(autouse=True)
def _quick_hashes(settings: Any) -> None:
    """Those of the site's processes."""
    settings.PASSWORD_HASHERS = PASSWORD_HASHERS
