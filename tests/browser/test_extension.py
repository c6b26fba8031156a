"""An extension signs somebody in by one page, renews, streams a paid call, hears of the balance on
its socket, signs out, and is let in no more."""

import re
from decimal import Decimal

from playwright.sync_api import expect

from tests.browser import steps
from tests.fakes.identity import Person


def test_from_sign_up_to_sign_out(panel, mail):
    """The whole of it, for somebody who is new."""
    popup = panel.begin_sign_in()
    popup.goto(popup.url.replace("/accounts/login/", "/accounts/signup/"))
    steps.submit(popup, email="ada@example.com", password1=steps.PASSWORD)
    steps.at(popup, "/accounts/confirm-email/")
    steps.submit(popup, code=mail.code_for("ada@example.com"))
    given = panel.end_sign_in()
    assert given["token_type"].lower() == "bearer"
    assert given["expires_in"] == 900
    assert panel.run("me")["body"]["email"] == "ada@example.com"
    expect(panel.page.locator("#account")).to_have_text("ada@example.com")

    assert panel.run("listen") == 0
    state = panel.heard("state")
    me = panel.run("me")["body"]
    assert {name: state[name] for name in me} == me

    answer = panel.run("chat", "Say something, please.")
    assert answer["status"] == 200
    assert answer["chunks"] > 2
    assert answer["text"]
    assert answer["call"]
    before = Decimal(me["balance"]["posted"])
    balance = panel.heard_last("balance", lambda one: Decimal(one["balance"]["posted"]) < before)
    assert balance["balance"] == panel.run("me")["body"]["balance"]
    receipt = panel.run("ask", f"/api/calls/{answer['call']}")["body"]
    assert Decimal(receipt["spent"]) == before - Decimal(balance["balance"]["posted"])
    expect(panel.page.locator("#balance")).to_have_text(balance["balance"]["available"])

    assert panel.run("signOut") == 200
    panel.wait_until_closed()
    panel.is_refused(given["access_token"])


def test_renewing_in_silence(panel, ada):
    """By the refresh token, and by the page, which shows itself no second time."""
    first = panel.sign_in(ada.email)
    second = panel.run("renew")
    assert second["access_token"] != first["access_token"]
    assert second["refresh_token"] != first["refresh_token"]
    assert panel.run("me")["body"]["email"] == ada.email
    windows = len(panel.context.pages)
    third = panel.run("signIn", {"interactive": False})
    assert panel.run("me")["body"]["email"] == ada.email
    assert third["access_token"] != second["access_token"]
    assert len(panel.context.pages) == windows, "a page was shown"


def test_consent_is_not_asked_of_our_own_extension(panel, ada):
    popup = panel.begin_sign_in()
    steps.submit(popup, login=ada.email, password=steps.PASSWORD)
    panel.end_sign_in()  # nothing else had to be pressed


def test_through_google(panel, google):
    grace = google.add(Person("grace@example.com", "Grace Hopper"))
    popup = panel.begin_sign_in()
    steps.go_to_provider(popup, "google", popup.url)
    popup.get_by_role("button", name=f"{grace.name} ({grace.email})").click()
    panel.end_sign_in()
    assert panel.run("me")["body"]["email"] == grace.email


def test_silence_where_nobody_is_signed_in(panel):
    refused = panel.fails("signIn", {"interactive": False})
    assert re.search("interaction|login_required|could not be loaded", refused, re.I), refused
    assert panel.fails("signIn", {"interactive": False, "prompt": "none"})


def test_a_changed_password_ends_it(panel, new_page, ada):
    """Changed on the pages, by somebody who signed in there."""
    given = panel.sign_in(ada.email)
    assert panel.run("listen") == 0
    page = new_page()
    steps.enter_password(page, ada.email)
    steps.signed_in(page, ada.email)
    steps.change_password(page)
    panel.wait_until_closed()
    panel.is_refused(given["access_token"])
    refused = panel.run(
        "token", {"grant_type": "refresh_token", "refresh_token": given["refresh_token"]}
    )
    assert (refused["status"], refused["body"]["error"]) == (400, "invalid_grant")
    assert steps.email_of(page) == ada.email
