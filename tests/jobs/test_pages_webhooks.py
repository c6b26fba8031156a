"""The page of the secret that webhooks are signed with: shown on demand, and made anew."""

import time

import pytest
from allauth.account.authentication import AUTHENTICATION_METHODS_SESSION_KEY
from django.test import Client

from accounts.models import User
from jobs.models import WebhookSecret
from jobs.telling import signing

PAGE = "/dashboard/jobs/webhooks/"
PASSWORD = "a good long password"

pytestmark = pytest.mark.django_db


@pytest.fixture
def user() -> User:
    return User.objects.create_user("hooked@example.com", PASSWORD)


@pytest.fixture
def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    confirm(client)
    return client


def confirm(browser: Client, ago: float = 0.0) -> None:
    """Whoever this is has shown who they are some seconds ago."""
    session = browser.session
    session["account_authentication_methods_user"] = session["_auth_user_id"]
    session[AUTHENTICATION_METHODS_SESSION_KEY] = [
        {"method": "password", "at": time.time() - ago, "reauthenticated": True}
    ]
    session.save()


def test_shown_on_demand(browser: Client, user: User) -> None:
    page = browser.get(PAGE).content.decode()
    assert "Standard Webhooks" in page
    assert "whsec_" not in page
    assert not WebhookSecret.objects.exists()
    answer = browser.get(f"{PAGE}secret/")
    assert signing.secret_of(user) in answer.content.decode()
    assert 'data-copy="secret"' in answer.content.decode()
    assert "no-store" in answer.headers["cache-control"]


def test_another_is_made_after_asking(browser: Client, user: User) -> None:
    before = signing.secret_of(user)
    assert "Make another secret?" in browser.get(f"{PAGE}renew/").content.decode()
    assert signing.secret_of(user) == before
    html = browser.post(f"{PAGE}renew/", follow=True).content.decode()
    after = signing.secret_of(user)
    assert after != before
    assert after in html
    assert before not in html


def test_only_to_who_has_just_shown_who_they_are(browser: Client, user: User) -> None:
    before = signing.secret_of(user)
    confirm(browser, ago=86_400)
    for ask, path in (
        (browser.get, f"{PAGE}secret/"),
        (browser.get, f"{PAGE}renew/"),
        (browser.post, f"{PAGE}renew/"),
    ):
        asked = ask(path)
        assert asked.status_code == 302
        assert asked.headers["location"].startswith("/accounts/reauthenticate/")
    assert browser.get(PAGE).status_code == 200
    assert signing.secret_of(user) == before


def test_nobody_else() -> None:
    for path in (PAGE, f"{PAGE}secret/", f"{PAGE}renew/"):
        assert "/accounts/login/" in Client().get(path).headers["location"]


def test_one_that_cannot_be_read_any_more(browser: Client, user: User) -> None:
    WebhookSecret.objects.create(user=user, sealed="of another secret key")
    answer = browser.get(f"{PAGE}secret/", follow=True)
    assert "Make another" in answer.content.decode()
    assert "can&#x27;t be read any more" in answer.content.decode()
    browser.post(f"{PAGE}renew/")
    assert browser.get(f"{PAGE}secret/").status_code == 200
