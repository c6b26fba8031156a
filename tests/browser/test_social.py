"""Sign-in through Google and GitHub, linking them to an account, and what may go wrong there."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser import steps
from tests.fakes.identity import Fault, Person

CONNECTIONS = "/accounts/3rdparty/"


@pytest.fixture(params=["google", "github"])
def provider(request, site):
    return request.getfixturevalue(request.param)


@pytest.fixture
def grace(provider):
    return provider.add(Person("grace@example.com", "Grace Hopper"))


def name_of(provider):
    return provider.name.lower()


def agree(page, person):
    page.get_by_role("button", name=f"{person.name} ({person.email})").click()


def test_signing_in(page, provider, grace):
    """The first time makes the account, the next finds it, by the provider's id and no address."""
    steps.go_to_provider(page, name_of(provider))
    agree(page, grace)
    steps.signed_in(page, grace.email)
    steps.sign_out(page)
    grace.email = "hopper@example.com"
    steps.go_to_provider(page, name_of(provider))
    agree(page, grace)
    steps.signed_in(page, "grace@example.com")


def test_an_unverified_address_needs_its_code(page, provider, grace, mail):
    grace.verified = False
    steps.go_to_provider(page, name_of(provider))
    agree(page, grace)
    steps.at(page, "/accounts/confirm-email/")
    assert steps.email_of(page) == ""
    steps.submit(page, code=mail.code_for(grace.email))
    steps.signed_in(page, grace.email)


def test_somebody_elses_account_is_not_opened(page, provider, ada, mail):
    """The same address, and even verified: the account was made another way."""
    thief = provider.add(Person(ada.email, "Ada"))
    steps.go_to_provider(page, name_of(provider))
    agree(page, thief)
    steps.at(page, "/accounts/confirm-email/")
    assert steps.email_of(page) == ""
    told = mail.wait_for(ada.email)
    assert "already" in told.get_body(("plain",)).get_content()
    assert ada.socialaccount_set.count() == 0


@pytest.mark.parametrize("how", ["button", Fault.DENIED])
def test_cancelling_leads_back(page, provider, grace, how):
    if how == "button":
        steps.go_to_provider(page, name_of(provider))
        page.get_by_role("button", name="Cancel").click()
    else:
        provider.once(how)
        leave_for(page, provider)
    expect(page).to_have_url(re.compile(r"/accounts/(3rdparty/login/cancelled/|login/)"))
    assert steps.email_of(page) == ""


@pytest.mark.parametrize(
    "fault",
    [Fault.BROKEN_AUTHORIZE, Fault.BROKEN_TOKEN, Fault.EXPIRED_CODE, Fault.BAD_TOKEN],
)
def test_faults_of_the_provider_sign_nobody_in(page, provider, grace, fault, complaints):
    complaints.expect("status of 401")
    provider.automatic = grace
    provider.once(fault)
    leave_for(page, provider)
    expect(page.locator("h1")).to_be_visible()
    assert steps.email_of(page) == ""
    leave_for(page, provider)  # and the next time it works
    steps.signed_in(page, grace.email)


def leave_for(page, provider):
    """Press the button, where the provider answers without a page of its own."""
    page.goto(f"/accounts/{name_of(provider)}/login/")
    steps.press(page.locator("form[method=post]").filter(visible=True).first)
    expect(page).not_to_have_url(re.compile(r"/accounts/\w+/login/(\?|$)"))


def test_connecting_and_disconnecting(page, provider, grace, ada):
    """Both want to know again who is there; afterwards the provider opens the account, or not."""
    steps.enter_password(page, ada.email)
    steps.signed_in(page, ada.email)
    steps.go_to_provider(page, name_of(provider), CONNECTIONS)
    agree(page, grace)
    steps.confirm_access(page)
    steps.at(page, CONNECTIONS)
    assert ada.socialaccount_set.get().provider == name_of(provider)
    steps.sign_out(page)
    steps.go_to_provider(page, name_of(provider))
    agree(page, grace)
    steps.signed_in(page, ada.email)

    page.goto(CONNECTIONS)
    form = steps.form_with(page, "account")
    choice = form.locator("[name=account]").first
    if choice.get_attribute("type") == "radio":
        choice.check()
    steps.press(form)
    steps.confirm_access(page)
    steps.at(page, CONNECTIONS)
    expect(page.locator("[name=account]")).to_have_count(0)
    assert ada.socialaccount_set.count() == 0
