"""Sign-up with a code from the mail, sign-in by password and by a code, and a lost password."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser import steps
from tests.browser.steps import ANOTHER, PASSWORD

EMAIL = "ada@example.com"


@pytest.mark.parametrize("width", ["page", "narrow_page"])
def test_signing_up_in_and_out(request, site, mail, width):
    page = request.getfixturevalue(width)
    page.goto("/")
    steps.sign_up(page, mail, EMAIL)
    steps.sign_out(page)
    steps.enter_password(page, EMAIL)
    steps.signed_in(page, EMAIL)
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(overflow) <= 0, "the page scrolls sideways"


def test_nothing_before_the_address_is_verified(page, mail):
    page.goto("/accounts/signup/")
    steps.submit(page, email=EMAIL, password1=PASSWORD)
    steps.at(page, "/accounts/confirm-email/")
    code = mail.code_for(EMAIL)
    assert steps.email_of(page) == ""
    steps.submit(page, code="XXXX-XX" if code != "XXXX-XX" else "YYYY-YY")
    expect(steps.form_with(page, "code")).to_be_visible()
    assert steps.email_of(page) == ""
    steps.submit(page, code=code)
    steps.signed_in(page, EMAIL)


def test_a_wrong_password_is_refused(page, ada):
    steps.enter_password(page, ada.email, "not the password")
    expect(page.get_by_text(re.compile("not correct|incorrect", re.I)).first).to_be_visible()
    assert steps.email_of(page) == ""


def test_signing_in_by_a_code_from_the_mail(page, mail, ada):
    page.goto("/accounts/login/code/")
    steps.submit(page, email=ada.email)
    steps.at(page, "/accounts/login/code/confirm/")
    steps.submit(page, code=mail.code_for(ada.email))
    steps.signed_in(page, ada.email)


def test_a_lost_password(page, new_page, mail, ada):
    """The code lets set another; the old one is over, and so is every sign-in there was."""
    elsewhere = new_page()
    steps.enter_password(elsewhere, ada.email)
    steps.signed_in(elsewhere, ada.email)
    page.goto("/accounts/password/reset/")
    steps.submit(page, email=EMAIL)
    steps.at(page, "/accounts/password/reset/confirm/")
    steps.submit(page, code=mail.code_for(EMAIL))
    steps.at(page, "/accounts/password/reset/complete/")
    fields = {"password1": ANOTHER}
    if page.locator("[name=password2]").count():
        fields["password2"] = ANOTHER
    steps.submit(page, **fields)
    steps.signed_in(page, EMAIL)
    assert steps.email_of(elsewhere) == ""
    steps.sign_out(page)
    steps.enter_password(page, EMAIL)
    assert steps.email_of(page) == ""
    steps.enter_password(page, EMAIL, ANOTHER)
    steps.signed_in(page, EMAIL)


def what_strangers_see(page, email):
    """The page after each way in that an address alone opens."""
    for path, fields in (
        ("/accounts/signup/", {"email": email, "password1": ANOTHER}),
        ("/accounts/login/code/", {"email": email}),
        ("/accounts/password/reset/", {"email": email}),
    ):
        page.goto(path)
        steps.submit(page, **fields)
        expect(steps.form_with(page, "code")).to_be_visible()
        yield page.url, page.locator("body").inner_text().replace(email, "…")
        page.context.clear_cookies()


def test_the_same_pages_for_known_and_unknown_addresses(page, ada):
    known = list(what_strangers_see(page, ada.email))
    assert known == list(what_strangers_see(page, "nobody@example.com"))
