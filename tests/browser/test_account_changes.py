"""Changing the address, and seeing and ending other sign-ins."""

import re

from playwright.sync_api import expect

from tests.browser import steps

NEW = "lovelace@example.com"


def test_changing_the_address(page, mail, ada):
    """It counts once its code is entered; the old one is told, and signs nobody in any more."""
    steps.enter_password(page, ada.email)
    steps.signed_in(page, ada.email)
    page.goto("/accounts/email/")
    if steps.CONFIRM.search(page.url):
        steps.confirm_access(page)
    steps.submit(page, email=NEW)
    expect(
        steps.form_with(page, "code").or_(steps.form_with(page, "password")).first
    ).to_be_visible()
    if steps.CONFIRM.search(page.url):
        steps.confirm_access(page)
    assert steps.email_of(page) == ada.email
    steps.submit(page, code=mail.code_for(NEW))
    expect(steps.form_with(page, "code")).to_have_count(0)
    assert steps.email_of(page) == NEW
    mail.wait_for(ada.email)
    steps.sign_out(page)
    steps.enter_password(page, ada.email)
    assert steps.email_of(page) == ""
    steps.enter_password(page, NEW)
    steps.signed_in(page, NEW)


def test_ending_other_sign_ins(page, new_page, ada):
    elsewhere = new_page(user_agent="Elsewhere/1.0")
    for each in (page, elsewhere):
        steps.enter_password(each, ada.email)
        steps.signed_in(each, ada.email)
    page.goto("/accounts/sessions/")
    expect(page.get_by_text("Elsewhere")).to_be_visible()
    page.get_by_role("button", name=re.compile("other", re.I)).click()
    expect(page.get_by_text("Elsewhere")).to_have_count(0)
    assert steps.email_of(elsewhere) == ""
    assert steps.email_of(page) == ada.email


def test_changing_the_password(page, new_page, ada):
    """It ends every sign-in but the one that changed it."""
    elsewhere = new_page()
    for each in (page, elsewhere):
        steps.enter_password(each, ada.email)
        steps.signed_in(each, ada.email)
    steps.change_password(page)
    assert steps.email_of(page) == ada.email
    assert steps.email_of(elsewhere) == ""
