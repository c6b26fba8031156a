"""Authorization requests that ask for more than is promised: nobody gets a code by them."""

import pytest
from allauth.idp.oidc.models import Client as OIDCClient
from django.core.cache import cache

from accounts import extensions, verbs
from tests.accounts import people
from tests.accounts.people import EXTENSION, authorization, browser, code_by, extension_tokens

pytestmark = pytest.mark.django_db
EMAIL = "ada@example.com"
HOST = f"{EXTENSION}.chromiumapp.org"
THIRD = {"client_id": "third", "redirect_uri": "https://third.example.com/cb"}


@pytest.fixture
def page(settings):
    settings.EXTENSION_IDS = [EXTENSION]
    extensions.sync()
    verbs.create_user(email=EMAIL, password=people.PASSWORD)
    return browser(EMAIL)


def ask(page, **changes):
    return page.get("/identity/o/authorize", authorization(**changes))


@pytest.mark.parametrize("uri", extensions.redirects_of(EXTENSION))
def test_the_redirects_of_the_extension_are_as_they_are_listed(page, uri):
    answer = ask(page, redirect_uri=uri)
    assert answer["location"].startswith(f"{uri}?code=")


@pytest.mark.parametrize(
    "uri",
    [
        f"https://somebody@{HOST}/cb",
        f"https://{HOST}/cb?code=another&state=another",
        f"https://{HOST}/cb;x",
        f"https://{HOST}/cb/../x",
        f"https://{HOST}/cb#x",
        f"https://{HOST}/CB",
        f"https://{HOST.upper()}/cb",
        f"https://{HOST}:443/cb",
        f"https://{HOST}./cb",
        f"https://evil.example\\@{HOST}/cb",
        f"https://evil.example/{HOST}/cb",
        f"http://{HOST}/cb",
        "",
    ],
)
def test_any_other_redirect_is_refused_and_not_followed(page, uri):
    answer = ask(page, redirect_uri=uri)
    assert answer.status_code == 400
    assert "location" not in answer


@pytest.mark.parametrize("method", ["plain", "s256", ""])
@pytest.mark.parametrize("client", [{}, THIRD])
def test_pkce_takes_s256_alone(page, method, client):
    add_third()
    answer = ask(page, code_challenge=people.VERIFIER, code_challenge_method=method, **client)
    assert answer.status_code == 400
    assert "S256" in answer.content.decode()


def test_pkce_without_a_method_would_be_plain(page):
    asked = authorization(code_challenge=people.VERIFIER)
    del asked["code_challenge_method"]
    assert page.get("/identity/o/authorize", asked).status_code == 400
    twice = authorization() | {"code_challenge_method": ["plain", "S256"]}
    assert page.get("/identity/o/authorize", twice).status_code == 400


def add_third():
    """A client of the operator's that asks for consent."""
    return OIDCClient.objects.create(
        id=THIRD["client_id"],
        name="a partner",
        type=OIDCClient.Type.PUBLIC,
        scopes="openid\nemail",
        default_scopes="openid",
        grant_types="authorization_code\nrefresh_token\nurn:ietf:params:oauth:grant-type:device_code",
        response_types="code",
        redirect_uris=THIRD["redirect_uri"],
    )


def test_silence_is_no_consent_for_another_client(page):
    """allauth lets the consent that somebody gave to one client count for all."""
    add_third()
    extension_tokens(page)
    answer = ask(page, prompt="none", **THIRD)
    assert answer["location"] == f"{THIRD['redirect_uri']}?error=consent_required&state=state"


def test_who_consented_is_signed_in_silently(page):
    add_third()
    form = ask(page, **THIRD)
    assert form.status_code == 200
    granted = page.post(
        "/identity/o/authorize",
        {"request": form.context["form"]["request"].value(), "scopes": ["openid", "email"],
         "action": "grant"},
    )  # fmt: skip
    code = granted["location"].partition("code=")[2].partition("&")[0]
    assert people.ask_token(people.redemption(code, **THIRD)).status_code == 200

    answer = ask(page, prompt="none", **THIRD)
    assert "code=" in answer["location"]
    extension_tokens(page)
    assert code_by(page, prompt="none")


def test_another_site_cannot_connect_a_device(page):
    """The form's own token is asked for; allauth's own view asks for none."""
    add_third()
    started = people.visitor().post(
        "/identity/o/api/device/code",
        "client_id=third&scope=openid",
        content_type="application/x-www-form-urlencoded",
    )
    code = started.json()["user_code"]
    page.handler.enforce_csrf_checks = True
    address = f"/identity/o/device?code={code}"
    form = page.get(address)
    assert code in form.content.decode()

    assert page.post(address, {"action": "confirm"}).status_code == 403
    device = f"allauth.idp.oidc.device_code[{started.json()['device_code']}]"
    assert cache.get(device)["granted"] is None

    token = form.context["csrf_token"]
    confirmed = page.post(address, {"action": "confirm", "csrfmiddlewaretoken": str(token)})
    assert confirmed.status_code == 200
    assert cache.get(device)["granted"] is True
