"""Every page of the account, met by walking through what it is for."""

import re
from html.parser import HTMLParser

import pytest
from allauth.mfa.totp.internal.auth import (
    format_hotp_value,
    hotp_value,
    yield_hotp_counters_from_time,
)
from allauth.usersessions.models import UserSession
from django.test import Client
from django.urls import reverse

from accounts import browsers, extensions
from accounts.models import TokenFamily
from accounts.templatetags import dressing
from accounts.verbs import create_user
from tests.accounts import people
from tests.accounts.people import OTHER_PASSWORD, PASSWORD, visitor
from tests.mails import code_in, last_to, to

pytestmark = pytest.mark.django_db

EMAIL = "ada@example.com"
THEIRS = re.compile(  # allauth's words and ways
    r"Menu:|Messages:|[Tt]hird-party|Successfully|reauthenticate to|[Ss]ecurity [Kk]eys\b"
    r"|Please |Sign In\b|Sign Up\b|placeholder=| style=| on\w+=\"|{{|{%|None\b"
)


class Page(HTMLParser):
    """What a page is made of, as far as the tests ask."""

    def __init__(self, html):
        super().__init__()
        self.headings, self.inputs, self.labels, self.ids = 0, [], set(), []
        self.scripts, self.styles, self.described = [], 0, []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.headings += tag == "h1"
        self.styles += tag == "style"
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "label":
            self.labels.add(given.get("for"))
        if tag == "script":
            self.scripts.append(given)
        if tag in {"input", "select", "textarea"} and given.get("type") != "hidden":
            self.inputs.append(given)
        self.described += (given.get("aria-describedby") or "").split()


def look(response, status=200):
    """The page is in our look, and can be used; answers its HTML."""
    assert response.status_code == status, (response.status_code, response.get("location"))
    html = response.content.decode()
    page = Page(html)
    assert "site.css" in html
    assert page.headings == 1
    assert page.styles == 0
    for script in page.scripts:  # files of ours, and data that nothing runs
        assert script.get("src") or script.get("type") == "application/json", script
    for field in page.inputs:
        assert field.get("id") in page.labels, field
        if field.get("type") == "password":
            assert field.get("autocomplete") in {"current-password", "new-password"}, field
        if field.get("name") == "code":
            assert field["autocomplete"] == "one-time-code"
    assert len(page.ids) == len(set(page.ids)), "an id is there twice"
    assert set(page.described) <= set(page.ids)
    found = THEIRS.search(html)
    assert not found, html[max(0, found.start() - 200) : found.end() + 100]
    return html


def follow(response, path):
    """Where a form led."""
    assert response.status_code == 302, re.sub(r"<[^>]+>\s*", " ", response.content.decode())[-600:]
    assert response["location"].split("?")[0] == path
    return path


@pytest.fixture
def ada():
    return create_user(email=EMAIL, password=PASSWORD)


@pytest.fixture
def client(ada):
    """Ada's browser; she has just signed in."""
    return people.browser(EMAIL)


@pytest.fixture
def sure(client):
    """The same, and she has just confirmed that it is her, as every change asks."""
    path = reverse("account_reauthenticate")
    assert "Incorrect password" in look(client.post(path, {"password": "wrong"}))
    assert client.post(path, {"password": PASSWORD}).status_code == 302
    return client


@pytest.fixture
def providers(settings):
    known = settings.SOCIALACCOUNT_PROVIDERS
    app = [{"client_id": "id", "secret": "secret", "key": ""}]
    settings.SOCIALACCOUNT_PROVIDERS = {
        name: {**known[name], "APPS": app} for name in ("google", "github")
    }


# --- Ways in ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/accounts/login/", "/accounts/signup/"])
def test_the_ways_in_have_a_button_for_each_provider_that_is_set_up(path, request):
    before = look(visitor().get(path))
    assert "Continue with" not in before
    request.getfixturevalue("providers")
    html = look(visitor().get(path))
    for name in ("google", "github"):
        assert re.search(
            rf'<form method="post" action="/accounts/{name}/login/\?process=login', html
        )
    assert "passkey" in html


def test_the_way_on_is_kept_on_every_way_in(providers):
    html = look(visitor().get("/accounts/login/?next=/dashboard/keys/"))
    assert html.count("next=%2Fdashboard%2Fkeys%2F") >= 4  # sign-up, code, Google, GitHub
    assert html.count('name="next" value="/dashboard/keys/"') == 2  # the form, and the passkey's


def test_signing_up():
    browser = visitor()
    look(browser.get("/accounts/signup/"))
    html = look(browser.post("/accounts/signup/", {"email": "nonsense", "password1": "1"}))
    assert 'aria-invalid="true"' in html
    form = {"email": EMAIL, "password1": PASSWORD}
    path = follow(browser.post("/accounts/signup/", form), "/accounts/confirm-email/")
    html = look(browser.get(path))
    assert EMAIL in html
    assert "Use another address" in html
    assert "Incorrect code" in look(browser.post(path, {"code": "XXXX-XXXX"}))
    again = browser.post(path, {"action": "resend"})  # within ten seconds
    assert "Too many tries" in look(again, 429)
    assert again["retry-after"] == "60"
    follow(browser.post(path, {"code": code_in(last_to(EMAIL))}), "/dashboard/")
    html = look(browser.get("/dashboard/"))
    assert EMAIL in html
    assert "Sign out" in html


def test_signing_in_by_a_code(ada):
    browser = visitor()
    look(browser.get("/accounts/login/code/"))
    path = follow(
        browser.post("/accounts/login/code/", {"email": EMAIL}), "/accounts/login/code/confirm/"
    )
    look(browser.get(path))
    follow(browser.post(path, {"code": code_in(last_to(EMAIL))}), "/dashboard/")


def test_a_new_password_by_a_code(ada):
    browser = visitor()
    look(browser.get("/accounts/password/reset/"))
    form = {"email": EMAIL}
    path = follow(
        browser.post("/accounts/password/reset/", form), "/accounts/password/reset/confirm/"
    )
    look(browser.get(path))
    path = follow(
        browser.post(path, {"code": code_in(last_to(EMAIL))}), "/accounts/password/reset/complete/"
    )
    look(browser.get(path))
    look(browser.post(path, {"password1": "1", "password2": "2"}))
    answer = browser.post(path, {"password1": OTHER_PASSWORD, "password2": OTHER_PASSWORD})
    assert answer.status_code == 302
    people.browser(EMAIL, OTHER_PASSWORD)


def test_signing_up_with_a_passkey():
    browser = visitor()
    look(browser.get("/accounts/signup/passkey/"))
    path = follow(
        browser.post("/accounts/signup/passkey/", {"email": EMAIL}), "/accounts/confirm-email/"
    )
    look(browser.get(path))
    path = follow(
        browser.post(path, {"code": code_in(last_to(EMAIL))}), "/accounts/2fa/webauthn/signup/"
    )
    look(browser.get(path))


def test_a_wrong_password_says_so_beside_the_form(ada):
    html = look(visitor().post("/accounts/login/", {"login": EMAIL, "password": "wrong"}))
    assert 'role="alert"' in html


def seen_by_a_stranger(email):
    """The pages and messages of each way in that an address alone opens."""
    for path, form in (
        ("/accounts/signup/", {"email": email, "password1": PASSWORD}),
        ("/accounts/login/code/", {"email": email}),
        ("/accounts/password/reset/", {"email": email}),
    ):
        answer = visitor().post(path, form, follow=True)
        text = re.sub(r'value="[\w-]{20,}"', "", look(answer))
        yield answer.redirect_chain, text.replace(email, "…")


def test_no_page_tells_a_known_address_from_an_unknown_one(ada):
    assert list(seen_by_a_stranger(EMAIL)) == list(seen_by_a_stranger("eve@example.com"))
    assert len(to(EMAIL)) == len(to("eve@example.com")) == 3


# --- The account ------------------------------------------------------------------------------

PLACES = [
    "dashboard", "dashboard-history", "dashboard-keys", "mfa_index", "dashboard-sessions",
    "usersessions_list", "account_email", "account_change_password", "socialaccount_connections",
    "dashboard-data", "account_logout", "account_reauthenticate",
]  # fmt: skip


@pytest.mark.parametrize("name", PLACES)
def test_a_page_of_the_account(client, name):
    look(client.get(reverse(name)))


@pytest.mark.parametrize("name", PLACES[:-2])
def test_it_is_for_whoever_is_signed_in(name):
    path = reverse(name)
    answer = visitor().get(path)
    assert answer.status_code == 302
    assert answer["location"] == f"/accounts/login/?next={path}"


def test_the_navigation_marks_where_one_is(client):
    html = look(client.get("/dashboard/keys/"))
    assert re.findall(r'aria-current="page">([^<]+)<', html) == ["API keys"]
    for title, _, _ in dressing._PLACES:
        assert f">{title}</a>" in html


def test_the_overview_says_what_api_me_says(client):
    html = look(client.get("/dashboard/"))
    state = client.get("/api/me").json()
    assert state["plan"]["name"] in html
    assert state["month"]["month"] in html
    whole, _, rest = state["balance"]["available"].partition(".")
    assert f'large">{whole}{"." + rest.rstrip("0") if rest.strip("0") else ""}</dd>' in html


def test_changing_the_password(client):
    path = reverse("account_change_password")
    html = look(client.post(path, {"oldpassword": "x", "password1": "1", "password2": "2"}))
    assert html.count('class="errorlist"') >= 2
    form = {"oldpassword": PASSWORD, "password1": OTHER_PASSWORD, "password2": OTHER_PASSWORD}
    assert client.post(path, form).status_code == 302
    assert "password was changed" in last_to(EMAIL).subject


def test_changing_the_address(sure):
    path = reverse("account_email")
    answer = sure.post(path, {"email": "new@example.com", "action_add": ""})
    path = follow(answer, "/accounts/confirm-email/")
    html = look(sure.get(path))
    assert "new@example.com" in html
    assert sure.post(path, {"code": code_in(last_to("new@example.com"))}).status_code == 302
    assert "new@example.com" in look(sure.get(reverse("account_email")))
    assert "address was changed" in last_to(EMAIL).subject


def test_setting_a_first_password(ada):
    ada.set_unusable_password()
    ada.save()
    browser = visitor()
    browser.post("/accounts/login/code/", {"email": EMAIL})
    browser.post("/accounts/login/code/confirm/", {"code": code_in(last_to(EMAIL))})
    assert "Set a password" in look(browser.get(reverse("mfa_index")))
    look(browser.get(reverse("account_set_password")))


def totp(secret):
    counter = next(iter(yield_hotp_counters_from_time()))
    return format_hotp_value(hotp_value(secret, counter))


def test_second_factors(sure):
    path = reverse("mfa_activate_totp")
    html = look(sure.get(path))
    assert 'inputmode="numeric"' in html
    assert 'src="data:image/svg' in html
    secret = re.search(r'id="authenticator_secret">(\w+)<', html)[1]
    assert "Incorrect code" in look(sure.post(path, {"code": "000000"}))
    secret = re.search(r'id="authenticator_secret">(\w+)<', look(sure.get(path)))[1]
    assert sure.post(path, {"code": totp(secret)}).status_code == 302
    for name in (
        "mfa_index", "mfa_view_recovery_codes", "mfa_generate_recovery_codes",
        "mfa_deactivate_totp", "mfa_add_webauthn", "mfa_list_webauthn", "mfa_reauthenticate",
    ):  # fmt: skip
        look(sure.get(reverse(name)))
    moved = sure.post(
        reverse("account_email"), {"email": "new@example.com", "action_add": ""}
    )  # whoever has a second factor may have another address, too
    follow(moved, "/accounts/confirm-email/")
    html = look(sure.get(reverse("mfa_view_recovery_codes")))
    recovery = re.search(r"\b\d{8}\b", html)[0]
    browser = visitor()
    form = {"login": EMAIL, "password": PASSWORD}
    path = follow(browser.post("/accounts/login/", form), reverse("mfa_authenticate"))
    html = look(browser.get(path))
    assert 'inputmode="numeric"' in html
    look(browser.post(path, {"code": "00000000"}))
    follow(browser.post(path, {"code": recovery}), "/dashboard/")


# --- What is signed in ------------------------------------------------------------------------


@pytest.fixture
def extension(settings):
    settings.EXTENSION_IDS = [people.EXTENSION]
    extensions.sync()


def test_another_session_is_signed_out_alone(client, ada):
    other, third = people.browser(EMAIL), people.browser(EMAIL)
    html = look(client.get("/dashboard/sessions/"))
    assert html.count("/end/") == 3  # two, and all others at once
    row = UserSession.objects.get(session_key=people.cookie_of(other))
    follow(client.post(f"/dashboard/sessions/{row.pk}/end/"), "/dashboard/sessions/")
    assert other.get("/dashboard/").status_code == 302
    assert third.get("/dashboard/").status_code == 200
    assert client.get("/dashboard/").status_code == 200


def test_all_others_are_signed_out_at_once(client):
    others = [people.browser(EMAIL) for _ in range(2)]
    client.post("/dashboard/sessions/others/end/")
    assert [one.get("/dashboard/").status_code for one in (client, *others)] == [200, 302, 302]


def test_an_extension_is_listed_and_signed_out(client, extension):
    tokens = people.extension_tokens(client)
    html = look(client.get("/dashboard/sessions/"))
    assert "The extension" in html
    family = TokenFamily.objects.get()
    assert f"/dashboard/sessions/{family.pk}/end/" in html
    bearer = {"authorization": f"Bearer {tokens['access_token']}"}
    assert visitor().get("/api/me", headers=bearer).status_code == 200
    client.post(f"/dashboard/sessions/{family.pk}/end/")
    assert visitor().get("/api/me", headers=bearer).status_code == 401
    assert "No extension is signed in" in look(client.get("/dashboard/sessions/"))


def test_what_is_of_somebody_else_is_out_of_reach(client, extension):
    create_user(email="eve@example.com", password=PASSWORD)
    eve = people.browser("eve@example.com")
    people.extension_tokens(client)
    row = UserSession.objects.get(session_key=people.cookie_of(client))
    for path in (f"{row.pk}", f"{TokenFamily.objects.get().pk}"):
        assert eve.post(f"/dashboard/sessions/{path}/end/").status_code == 404
    assert client.get("/dashboard/").status_code == 200
    assert "The extension" in look(client.get("/dashboard/sessions/"))


def test_the_present_session_is_not_ended_there_nor_by_a_look(client):
    row = UserSession.objects.get(session_key=people.cookie_of(client))
    assert client.post(f"/dashboard/sessions/{row.pk}/end/").status_code == 404
    assert client.get(f"/dashboard/sessions/{row.pk}/end/").status_code == 405
    assert client.get("/dashboard/").status_code == 200


def test_a_form_of_another_site_ends_nothing(ada):
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = people.browser(EMAIL).cookies
    assert strict.post("/dashboard/sessions/others/end/").status_code == 403


# --- Google, GitHub, the provider, errors -----------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/accounts/3rdparty/login/cancelled/", 200),
        ("/accounts/3rdparty/login/error/", 401),
        ("/accounts/inactive/", 200),
        ("/accounts/google/login/", 200),
        ("/accounts/github/login/", 200),
        ("/nowhere", 404),
    ],
)
def test_pages_of_what_went_wrong_or_comes_between(providers, path, status):
    look(visitor().get(path), status)


def test_connecting_says_connect(client, providers):
    html = look(client.get(reverse("socialaccount_connections")))
    assert "Connect Google" in html
    assert "Connect GitHub" in html


def test_a_program_that_nobody_knows_is_refused_on_a_page(client):
    answer = client.get("/identity/o/authorize?client_id=nobody")
    assert "can't go on" in look(answer, 400)


def test_the_provider_asks_whether_to_sign_out(client):
    look(client.get("/identity/o/logout"))


def test_a_disabled_account_is_told_so_only_with_the_right_password(ada):
    ada.is_active = False
    ada.save()
    form = {"login": EMAIL, "password": PASSWORD}
    follow(visitor().post("/accounts/login/", form), "/accounts/inactive/")


def test_the_header_says_who_is_signed_in(client):
    assert "Sign up" in look(visitor().get("/"))
    html = look(client.get("/"))
    assert EMAIL in html
    assert "Sign up" not in html
    assert 'action="/accounts/logout/"' in html


@pytest.mark.parametrize(
    ("user_agent", "words"),
    [
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "Firefox on Linux",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
            "Edge on Windows",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 "
            "(KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
            "Safari on iPhone",
        ),
        ("curl/8.5.0", "curl/8.5.0"),
        ("", "An unnamed program"),
    ],
)
def test_a_browser_in_words(user_agent, words):
    assert browsers.browser(user_agent) == words
