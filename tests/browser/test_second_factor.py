"""TOTP and its recovery codes, and passkeys with an authenticator that the browser plays."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser import steps


@pytest.fixture
def signed_in(page, ada):
    steps.enter_password(page, ada.email)
    steps.signed_in(page, ada.email)
    return page


def enrol(page):
    """Turn TOTP on; answers its secret and the recovery codes."""
    page.goto("/accounts/2fa/totp/activate/")
    steps.confirm_access(page)
    steps.at(page, "/accounts/2fa/totp/activate/")
    secret = secret_on(page)
    steps.submit(page, code=steps.totp(secret))
    expect(page).not_to_have_url(re.compile("/totp/activate/"))
    page.goto("/accounts/2fa/recovery-codes/")
    return secret, codes_on(page)


def secret_on(page):
    """The one that people type who can't scan."""
    field = page.locator("#authenticator_secret")
    expect(field).to_be_visible()
    return str(field.evaluate("e => e.value || e.textContent")).replace(" ", "").strip()


def codes_on(page):
    shown = page.locator("#recovery_codes")
    expect(shown).to_be_visible()
    return str(shown.evaluate("e => e.value || e.innerText")).split()


def test_totp_and_recovery_codes(signed_in, ada):
    page = signed_in
    secret, codes = enrol(page)
    assert len(codes) >= 8
    steps.sign_out(page)

    steps.enter_password(page, ada.email)
    steps.at(page, "/accounts/2fa/authenticate/")
    assert steps.email_of(page) == ""
    steps.submit(page, code="000000")
    steps.at(page, "/accounts/2fa/authenticate/")
    assert steps.email_of(page) == ""
    steps.submit(page, code=steps.totp(secret))
    steps.signed_in(page, ada.email)
    steps.sign_out(page)

    steps.enter_password(page, ada.email)
    steps.submit(page, code=codes[0])
    steps.signed_in(page, ada.email)
    steps.sign_out(page)

    steps.enter_password(page, ada.email)
    steps.submit(page, code=codes[0])
    expect(page.get_by_text(re.compile("incorrect", re.I)).first).to_be_visible()
    assert steps.email_of(page) == "", "a recovery code counted twice"
    steps.submit(page, code=codes[1])
    steps.signed_in(page, ada.email)


def test_turning_totp_off(signed_in, ada):
    page = signed_in
    enrol(page)
    page.goto("/accounts/2fa/totp/deactivate/")
    steps.press(page.locator("form[action*='/totp/deactivate/']"))
    expect(page).not_to_have_url(re.compile("/totp/deactivate/"))
    steps.sign_out(page)
    steps.enter_password(page, ada.email)
    steps.signed_in(page, ada.email)


@pytest.fixture
def authenticator(page):
    """A platform authenticator, as a laptop has one, whose owner always agrees."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable", {"enableUI": False})
    added = session.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
        },
    )
    return session, added["authenticatorId"]


def credentials(authenticator):
    session, name = authenticator
    found = session.send("WebAuthn.getCredentials", {"authenticatorId": name})
    return found["credentials"]


def add_passkey(page):
    page.goto("/accounts/2fa/webauthn/add/")
    steps.confirm_access(page)
    steps.at(page, "/accounts/2fa/webauthn/add/")
    passwordless = page.locator("[name=passwordless]")
    if passwordless.count() and passwordless.get_attribute("type") == "checkbox":
        passwordless.check()
    page.locator("#mfa_webauthn_add").click()
    expect(page).not_to_have_url(re.compile("/webauthn/add/"))


def test_a_passkey_signs_in(signed_in, authenticator, ada):
    page = signed_in
    add_passkey(page)
    (kept,) = credentials(authenticator)
    assert kept["isResidentCredential"]
    assert kept["rpId"] == "localhost"
    steps.sign_out(page)
    page.goto("/accounts/login/")
    page.locator("#passkey_login").click()
    steps.signed_in(page, ada.email)


def test_a_passkey_that_was_removed_does_not(signed_in, authenticator, ada):
    page = signed_in
    add_passkey(page)
    key = ada.authenticator_set.get(type="webauthn")
    page.goto(f"/accounts/2fa/webauthn/keys/{key.pk}/remove/")
    steps.press(page.locator("form[action*='/remove/'], main form").filter(visible=True).first)
    expect(page).not_to_have_url(re.compile("/remove/"))
    assert len(credentials(authenticator)) == 1, "the authenticator does not know of it"
    steps.sign_out(page)
    page.goto("/accounts/login/")
    page.locator("#passkey_login").click()
    told = re.compile("incorrect|not known|no longer|removed", re.I)
    expect(page.get_by_text(told).first).to_be_visible()
    assert steps.email_of(page) == ""


def test_signing_up_with_a_passkey(page, authenticator, mail):
    """No password at all: the code from the mail, then a passkey, which signs in from then on."""
    email = "grace@example.com"
    page.goto("/accounts/signup/passkey/")
    steps.submit(page, email=email)
    steps.at(page, "/accounts/confirm-email/")
    steps.submit(page, code=mail.code_for(email))
    steps.at(page, "/accounts/2fa/webauthn/signup/")
    page.locator("#mfa_webauthn_signup").click()
    steps.signed_in(page, email)
    steps.sign_out(page)
    page.goto("/accounts/login/")
    page.locator("#passkey_login").click()
    steps.signed_in(page, email)
