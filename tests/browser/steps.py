"""What people do on the pages. Found by the names of fields, which styling does not change."""

import base64
import hmac
import re
import struct
import time

from playwright.sync_api import Locator, Page, expect

from tests.fakes.smtp import FakeMail
from tests.proxy.server import wait_for

PASSWORD = "correct horse battery staple"
ANOTHER = "a quite different pass phrase"
CONFIRM = re.compile(r"/accounts/(reauthenticate|2fa/reauthenticate)/")


def form_with(page: Page, *names: str) -> Locator:
    """The form that has fields of all these names."""
    found = page.locator("form")
    for name in names:
        found = found.filter(has=page.locator(f"[name='{name}']"))
    return found.first


def submit(page: Page, **values: str) -> None:
    """Fill the fields of a form and press its button."""
    form = form_with(page, *values)
    for name, value in values.items():
        form.locator(f"[name='{name}']").fill(value)
    press(form)


def press(form: Locator) -> None:
    """The form's own button, not one within it that belongs to another form."""
    form.locator("button:not([form]):not([type=button]), input[type=submit]").first.click()


def at(page: Page, path: str) -> None:
    """Wait until the page is at ``path``, whatever its query."""
    expect(page).to_have_url(re.compile(rf"^https?://[^/]+{re.escape(path)}(\?|#|$)"))
    page.wait_for_load_state()  # its scripts have run: who clicks before has no answer


def email_of(page: Page) -> str:
    """Who is signed in, as the API sees it; empty when nobody is."""
    answer = page.request.get("/api/me")
    assert answer.status in {200, 401, 403}, answer.text()
    return str(answer.json()["email"]) if answer.ok else ""


def sign_up(page: Page, mail: FakeMail, email: str, password: str = PASSWORD) -> None:
    """By e-mail, password and the code from the mail."""
    page.goto("/accounts/signup/")
    submit(page, email=email, password1=password)
    at(page, "/accounts/confirm-email/")
    submit(page, code=mail.code_for(email))
    signed_in(page, email)


def signed_in(page: Page, email: str) -> None:
    """Wait until the sign-in led to the user's own page, and it is theirs."""
    at(page, "/dashboard/")
    assert email_of(page) == email


def enter_password(page: Page, email: str, password: str = PASSWORD) -> None:
    page.goto("/accounts/login/")
    submit(page, login=email, password=password)


def sign_out(page: Page) -> None:
    page.goto("/accounts/logout/")
    page.locator("form[action*='/accounts/logout/']:visible button:visible").first.click()
    expect(page).not_to_have_url(re.compile("/accounts/logout/"))
    assert email_of(page) == ""


def confirm_access(page: Page, password: str = PASSWORD) -> None:
    """What every change asks for first."""
    expect(page).to_have_url(CONFIRM)
    submit(page, password=password)
    expect(page).not_to_have_url(CONFIRM)


def go_to_provider(page: Page, name: str, path: str = "/accounts/login/") -> None:
    """Press the button of Google or GitHub, and the one of the page between if there is one."""
    page.goto(path)
    page.locator(
        f"a[href*='/accounts/{name}/login/']:visible,"
        f"form[action*='/accounts/{name}/login/'] button:visible"
    ).first.click()
    chooser = page.get_by_role("heading", name="(a fake)")
    between = page.locator("main form button:visible, form button[type=submit]:visible").first
    expect(chooser.or_(between).first).to_be_visible()
    if not chooser.is_visible():
        press(page.locator("form[method=post]").filter(visible=True).first)
    expect(chooser).to_be_visible()


def totp(secret: str) -> str:
    """The code that an authenticator application shows now (RFC 6238), with time left to type."""
    wait_for(lambda: time.time() % 30 < 26, 10)
    counter = struct.pack(">Q", int(time.time()) // 30)
    digest = hmac.new(base64.b32decode(secret), counter, "sha1").digest()
    offset = digest[-1] & 15
    (number,) = struct.unpack(">I", digest[offset : offset + 4])
    return f"{(number & 0x7FFFFFFF) % 1_000_000:06d}"


def change_password(page: Page) -> None:
    """From ``PASSWORD`` to ``ANOTHER``."""
    page.goto("/accounts/password/change/")
    fields = {"oldpassword": PASSWORD, "password1": ANOTHER}
    if page.locator("[name=password2]").count():
        fields["password2"] = ANOTHER
    with page.expect_response(lambda answer: answer.request.method == "POST") as answered:
        submit(page, **fields)
    assert answered.value.status == 302, "the form was refused"
    page.wait_for_load_state()
