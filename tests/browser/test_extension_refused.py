"""What an extension is refused, and what ends a sign-in of it for good."""

import re
from urllib.parse import urlencode

from playwright.sync_api import expect

from tests.browser import steps
from tests.browser.site import EXTENSION, FOREIGN_EXTENSION


def test_a_redirect_that_is_not_its_own(panel, page, complaints):
    """The code would go to whoever is named there: an error page, which Chromium closes at once
    because of its status, and no redirect."""
    complaints.expect("status of 400")
    for redirect in (
        "https://evil.example/cb",
        f"https://{EXTENSION}.chromiumapp.org/elsewhere",
        f"https://{FOREIGN_EXTENSION}.chromiumapp.org/cb",
    ):
        assert "could not be loaded" in panel.fails("authorize", {"redirect": redirect})
        asked = {"client_id": EXTENSION, "redirect_uri": redirect, "response_type": "code"}
        answer = page.goto(f"/identity/o/authorize?{urlencode(asked)}")
        assert answer.status == 400
        expect(page.get_by_text(re.compile("redirect", re.I)).first).to_be_visible()


def test_an_extension_that_is_not_listed(foreign_panel, ada):
    panel = foreign_panel
    panel.complaints.pardon("status of 400")  # the window may be closed before it is said
    panel.start("authorize", {})
    steps.submit(panel.popup(), login=ada.email, password=steps.PASSWORD)
    assert "could not be loaded" in panel.failed()


def test_a_listed_ones_id_helps_no_other(foreign_panel, panel, ada):
    """It may ask in the other's name; the answer goes to the other's redirect alone."""
    panel.sign_in(ada.email)
    refused = foreign_panel.fails(
        "authorize",
        {"clientId": EXTENSION, "interactive": False},
    )
    assert refused


def test_a_code_without_its_verifier(panel, ada):
    asked = panel.authorized(ada.email)
    panel.complaints.expect("status of 400")
    wrong = panel.run("redeem", {**asked, "verifier": "w" * 64})
    assert (wrong["status"], wrong["body"]["error"]) == (400, "invalid_grant")


def test_a_code_that_was_used_ends_what_it_gave(panel, ada):
    asked = panel.authorized(ada.email)
    given = panel.run("redeem", asked)
    assert given["status"] == 200
    access = given["body"]["access_token"]
    assert panel.run("ask", "/api/me", {"bearer": access})["status"] == 200
    again = panel.run("redeem", asked)
    assert (again["status"], again["body"]["error"]) == (400, "invalid_grant")
    panel.is_refused(access)


def test_a_refresh_token_that_was_used_ends_the_family(panel, ada):
    """Thief or owner: all that came of the sign-in is over, and the socket closes."""
    first = panel.sign_in(ada.email)
    second = panel.run("renew")
    assert panel.run("listen") == 0
    panel.heard("state")
    stolen = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    refused = panel.run("token", stolen)
    assert (refused["status"], refused["body"]["error"]) == (400, "invalid_grant")
    panel.wait_until_closed()
    panel.is_refused(second["access_token"])
    last = {"grant_type": "refresh_token", "refresh_token": second["refresh_token"]}
    assert panel.run("token", last)["status"] == 400


def test_a_ticket_works_once_and_nothing_else_opens_the_socket(panel, ada):
    given = panel.sign_in(ada.email)
    ticket = panel.run("ticket")["body"]["ticket"]
    assert panel.run("listen", ticket) == 0
    panel.heard("state")
    for other in (ticket, "made-up", given["access_token"]):
        assert panel.run("listen", other) == 4401
