"""/dashboard/data/: taking one's data along, and leaving, in the browser."""

import json

import pytest
from django.core import mail
from django.test import Client

from accounts import verbs
from accounts.models import User
from tests.accounts import people
from tests.accounts.test_key_pages import confirm

pytestmark = pytest.mark.django_db(transaction=True)

DATA, EXPORT, DELETE = "/dashboard/data/", "/dashboard/data/export/", "/dashboard/data/delete/"
EMAIL = "ada@example.com"


@pytest.fixture
def ada(db):
    return verbs.create_user(email=EMAIL, password=people.PASSWORD)


@pytest.fixture
def browser(ada):
    return confirm(people.browser(EMAIL))


def test_the_page_offers_both(browser):
    html = browser.get(DATA).content.decode()
    assert EXPORT in html
    assert DELETE in html


def test_the_download(browser):
    response = browser.get(EXPORT)
    assert json.loads(response.getvalue())["account"]["email"] == EMAIL
    assert response["content-disposition"].startswith("attachment")


def test_deleting_asks_for_the_address(browser, ada):
    html = browser.get(DELETE).content.decode()
    assert "be undone" in html
    wrong = browser.post(DELETE, {"confirm": "other@example.com"})
    assert wrong.status_code == 200
    assert EMAIL in wrong.content.decode()
    assert User.objects.get(pk=ada.pk).is_active


def test_deleting(browser, ada):
    mail.outbox.clear()
    done = browser.post(DELETE, {"confirm": "Ada@example.com "})
    assert done.status_code == 200
    assert "deleted" in done.content.decode()
    assert not User.objects.filter(email=EMAIL).exists()
    assert browser.get(DATA).status_code == 302
    assert [sent.to for sent in mail.outbox] == [[EMAIL]]
    assert "is deleted" in mail.outbox[0].subject


def test_by_the_api_the_browser_is_signed_out_too(browser, ada):
    deleted = browser.delete(
        "/api/account", json.dumps({"confirm": EMAIL}), content_type="application/json"
    )
    assert deleted.status_code == 204
    assert browser.get(DATA).status_code == 302
    assert browser.get("/").status_code == 200


def test_staff_are_told_why_not(browser, ada):
    User.objects.filter(pk=ada.pk).update(is_staff=True)
    assert "superuser" in browser.get(DATA).content.decode()
    assert "superuser" in browser.post(DELETE, {"confirm": EMAIL}).content.decode()
    assert User.objects.get(pk=ada.pk).is_active


@pytest.mark.parametrize("path", [EXPORT, DELETE])
def test_who_did_not_just_confirm_who_they_are_is_asked(browser, ada, path):
    confirm(browser, ago=3600)
    for answer in (browser.get(path), browser.post(path, {"confirm": EMAIL})):
        assert answer.status_code in {302, 405}
        if answer.status_code == 302:
            assert answer["location"].startswith("/accounts/reauthenticate/")
    assert User.objects.get(pk=ada.pk).is_active


@pytest.mark.parametrize("path", [DATA, EXPORT, DELETE])
def test_nobody_without_a_sign_in(client, path):
    assert Client().get(path)["location"].startswith("/accounts/login/")
