"""Ways to get into somebody else's account, none of which works.

Google is a fake of its own on a loopback socket, and allauth speaks to it for real.
"""

import re
import time
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from allauth.socialaccount.models import SocialAccount
from allauth.socialaccount.providers.google import views as google_views
from django.contrib.sessions.models import Session
from django.utils import timezone

from accounts import squatters, verbs
from accounts.models import User
from ledger import verbs as ledger
from tests.accounts import people
from tests.fakes.identity import FakeGoogle, Person

pytestmark = pytest.mark.django_db

OWNER = "owner@example.com"
PASSWORD, THIEFS = people.PASSWORD, "the thief's own horse"
CALLBACK = "http://testserver/accounts/google/login/callback/"


@pytest.fixture(autouse=True)
def _quick(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(scope="module")
def one_google():
    with FakeGoogle() as fake:
        fake.allow(CALLBACK)
        yield fake


@pytest.fixture
def google(one_google, settings, monkeypatch):
    one_google.reset()
    one_google.allow(CALLBACK)
    app = {"client_id": one_google.client_id, "secret": one_google.client_secret, "key": ""}
    settings.SOCIALACCOUNT_PROVIDERS = settings.SOCIALACCOUNT_PROVIDERS | {
        "google": {"APPS": [app], "SCOPE": ["openid", "email"], "OAUTH_PKCE_ENABLED": True}
    }
    # allauth reads Google's addresses once, when it is loaded.
    adapter, url = google_views.GoogleOAuth2Adapter, one_google.url
    monkeypatch.setattr(adapter, "authorize_url", f"{url}/o/oauth2/v2/auth")
    monkeypatch.setattr(adapter, "access_token_url", f"{url}/token")
    monkeypatch.setattr(adapter, "identity_url", f"{url}/oauth2/v2/userinfo")
    monkeypatch.setattr(google_views, "ID_TOKEN_ISSUER", url)
    monkeypatch.setattr(google_views, "CERTS_URL", f"{url}/oauth2/v1/certs")
    return one_google


def came_back(google, client, person, *, process="login"):
    """Go to Google and come back; answers the address that Google sends the browser to."""
    google.automatic = person
    begun = client.post(f"/accounts/google/login/?process={process}")
    assert begun.status_code == 302, begun.content
    back = httpx.get(begun["location"])
    assert back.status_code == 302, back.text
    return back.headers["location"].removeprefix("http://testserver")


def sign_in(google, client, person, **how):
    return client.get(came_back(google, client, person, **how))


def is_signed_in(client):
    return "_auth_user_id" in client.session


def code_in(mailoutbox, email):
    [*_, last] = [mail for mail in mailoutbox if mail.to == [email]]
    return re.search(r"\b[A-Z0-9]{4}-[A-Z0-9]{4}\b", last.body)[0]


@pytest.fixture
def squatter():
    """Somebody who signed up with the owner's address, and waits."""
    client = people.visitor()
    sent = {"email": OWNER, "password": THIEFS}
    begun = people.app(client, "POST", "auth/signup", sent)
    client.token = begun.json()["meta"]["session_token"]
    client.page = people.visitor()
    client.page.cookies["sessionid"] = client.token
    return client


def assert_kept_out(squatter):
    """Whatever they saved from before opens nothing."""
    signed = people.app(squatter, "GET", "auth/session", token=squatter.token)
    assert signed.status_code in {401, 410}
    again = people.app(people.visitor(), "POST", "auth/login", {"email": OWNER, "password": THIEFS})
    assert again.status_code == 400
    for path in ("auth/email/verify", "auth/code/confirm"):
        sent = {"key": "BBBB-BBBB", "code": "BBBB-BBBB"}
        assert people.app(squatter, "POST", path, sent, squatter.token).status_code in {
            400,
            409,
            410,
        }
    for path in ("/accounts/confirm-email/", "/accounts/email/", "/dashboard/"):
        squatter.page.get(path)
    assert not is_signed_in(squatter.page)


# --- (a) The address was registered first by somebody else ------------------------------------


def test_the_owner_comes_with_google_and_the_squatters_account_is_gone(google, squatter):
    taken = User.objects.get(email=OWNER)
    client = people.visitor()
    assert sign_in(google, client, google.add(Person(OWNER, "Owner"))).status_code == 302
    assert is_signed_in(client)
    assert not User.objects.filter(pk=taken.pk).exists()
    mine = User.objects.get(email=OWNER)
    assert not mine.has_usable_password()
    assert EmailAddress.objects.get(user=mine).verified
    assert_kept_out(squatter)


def test_the_owner_comes_with_a_code_by_mail(squatter, mailoutbox):
    client = people.visitor()
    begun = people.app(client, "POST", "auth/code/request", {"email": OWNER})
    token = begun.json()["meta"]["session_token"]
    sent = {"code": code_in(mailoutbox, OWNER)}
    assert people.app(client, "POST", "auth/code/confirm", sent, token).status_code == 200
    assert EmailAddress.objects.get(email=OWNER).verified
    assert_kept_out(squatter)


def test_the_owner_resets_the_password(squatter, mailoutbox):
    client = people.visitor()
    begun = people.app(client, "POST", "auth/password/request", {"email": OWNER})
    token = begun.json()["meta"]["session_token"]
    sent = {"key": code_in(mailoutbox, OWNER), "password": PASSWORD}
    assert people.app(client, "POST", "auth/password/reset", sent, token).status_code == 200
    assert people.session_token(OWNER, PASSWORD)
    assert_kept_out(squatter)


def test_or_stops_half_way_through_resetting_it_on_the_page(squatter, mailoutbox):
    client = people.visitor()
    asked = client.post("/accounts/password/reset/", {"email": OWNER})
    client.post(asked["location"], {"code": code_in(mailoutbox, OWNER)})
    assert EmailAddress.objects.get(email=OWNER).verified
    assert_kept_out(squatter)


def test_what_the_squatter_linked_goes_too(google, mailoutbox):
    """They came with a provider that knows the address only from hearsay."""
    thief = google.add(Person(OWNER, "Thief", verified=False))
    client = people.visitor()
    sign_in(google, client, thief)
    assert not is_signed_in(client)
    user = User.objects.get(email=OWNER)
    Authenticator.objects.create(user=user, type="webauthn", data={"name": "thief's"})
    owner = people.visitor()
    begun = people.app(owner, "POST", "auth/code/request", {"email": OWNER})
    token = begun.json()["meta"]["session_token"]
    sent = {"code": code_in(mailoutbox, OWNER)}
    people.app(owner, "POST", "auth/code/confirm", sent, token)
    assert not SocialAccount.objects.exists()
    assert not Authenticator.objects.exists()
    again = people.visitor()
    sign_in(google, again, thief)
    assert not is_signed_in(again)
    assert not is_signed_in(client)


def test_whoever_verifies_where_they_signed_up_keeps_their_password(squatter, mailoutbox):
    sent = {"key": code_in(mailoutbox, OWNER)}
    done = people.app(squatter, "POST", "auth/email/verify", sent, squatter.token)
    assert done.status_code == 200
    assert people.session_token(OWNER, THIEFS)


@pytest.mark.parametrize("why", ["signed in", "staff", "key", "wallet", "verified", "operator's"])
def test_an_account_that_is_somebodys_gives_way_to_nobody(why):
    user = User.objects.create_user(OWNER, THIEFS)
    if why != "operator's":
        EmailAddress.objects.create(user=user, email=OWNER, verified=why == "verified")
    if why == "signed in":
        user.last_login = timezone.now()
    user.is_staff = why == "staff"
    user.save()
    if why == "key":
        verbs.issue_key(user=user, name="k")
    if why == "wallet":
        ledger.wallet_of(user=user.pk)
    assert not squatters.give_way(OWNER)
    assert User.objects.filter(pk=user.pk).exists()


# --- (b) A provider that knows the address from hearsay ---------------------------------------


def test_an_unverified_address_opens_nothing(google, mailoutbox):
    user = verbs.create_user(email=OWNER, password=PASSWORD)
    client = people.visitor()
    sign_in(google, client, google.add(Person(OWNER, "Thief", verified=False)))
    assert not is_signed_in(client)
    assert not SocialAccount.objects.filter(user=user).exists()
    assert [mail.to for mail in mailoutbox] == [[OWNER]]


def test_nor_does_a_verified_one_open_an_account_made_otherwise(google, mailoutbox):
    user = verbs.create_user(email=OWNER, password=PASSWORD)
    client = people.visitor()
    sign_in(google, client, google.add(Person(OWNER, "Owner")))
    assert not is_signed_in(client)
    assert not SocialAccount.objects.filter(user=user).exists()


def test_with_a_new_address_it_must_be_verified_by_code(google, mailoutbox):
    client = people.visitor()
    answer = sign_in(google, client, google.add(Person(OWNER, "New", verified=False)))
    assert not is_signed_in(client)
    assert client.get("/dashboard/keys/").status_code in {302, 403}
    client.post(answer["location"], {"code": code_in(mailoutbox, OWNER)})
    assert is_signed_in(client)
    assert SocialAccount.objects.get().user.email == OWNER


# --- (c) Linking ------------------------------------------------------------------------------


def grow_old(client, seconds=3600):
    session = client.session
    for record in session["account_authentication_methods"]:
        record["at"] -= seconds
    session.save()


def test_linking_wants_the_password_first(google):
    verbs.create_user(email=OWNER, password=PASSWORD)
    browser = people.browser(OWNER, PASSWORD)
    grow_old(browser)
    person = google.add(Person("other@example.com", "Other"))
    answer = sign_in(google, browser, person, process="connect")
    assert answer["location"].startswith("/accounts/reauthenticate/")
    assert not SocialAccount.objects.exists()
    done = browser.post(answer["location"], {"password": PASSWORD})
    assert done.status_code == 302
    assert SocialAccount.objects.get().user.email == OWNER


def test_somebody_without_a_password_signs_in_again_first(google):
    browser = people.visitor()
    sign_in(google, browser, google.add(Person(OWNER, "Owner")))
    grow_old(browser)
    thiefs = google.add(Person("thief@example.com", "Thief"))
    answer = sign_in(google, browser, thiefs, process="connect")
    assert answer["location"].startswith("/accounts/login/")
    assert not is_signed_in(browser)
    assert SocialAccount.objects.count() == 1


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/accounts/password/set/", {"password1": THIEFS, "password2": THIEFS}),
        ("/accounts/email/", {"action_add": "", "email": "thief@example.com"}),
        ("/accounts/2fa/totp/activate/", {"code": "123456"}),
    ],
)
def test_nor_can_anything_else_be_changed_in_an_old_session(google, path, sent):
    browser = people.visitor()
    sign_in(google, browser, google.add(Person(OWNER, "Owner")))
    grow_old(browser)
    assert browser.post(path, sent)["location"].startswith("/accounts/login/")
    assert not User.objects.get().has_usable_password()


def test_the_headless_api_asks_too(google):
    verbs.create_user(email=OWNER, password=PASSWORD)
    token = people.session_token(OWNER, PASSWORD)
    client = people.visitor()
    body = {"email": "thief@example.com"}
    assert people.app(client, "POST", "account/email", body, token).status_code == 401
    totp = people.app(client, "POST", "account/authenticators/totp", {"code": "123456"}, token)
    assert totp.status_code in {400, 401}
    person = google.add(Person("other@example.com", "Other"))
    linked = people.app(client, "POST", "auth/provider/token", link(google, person), token)
    assert linked.status_code == 401
    assert not SocialAccount.objects.exists()
    people.app(client, "POST", "auth/reauthenticate", {"password": PASSWORD}, token)
    linked = people.app(client, "POST", "auth/provider/token", link(google, person), token)
    assert linked.status_code == 200, linked.content
    assert SocialAccount.objects.get().user.email == OWNER


def link(google, person):
    """What a program sends that got a token from Google by itself."""
    token = {"client_id": google.client_id, "id_token": google.id_token(person)}
    return {"provider": "google", "process": "connect", "token": token}


def test_a_link_of_somebody_else_is_not_taken_over(google):
    person = google.add(Person("other@example.com", "Other"))
    first = people.visitor()
    sign_in(google, first, person)
    verbs.create_user(email=OWNER, password=PASSWORD)
    browser = people.browser(OWNER, PASSWORD)
    browser.post("/accounts/reauthenticate/", {"password": PASSWORD})
    sign_in(google, browser, person, process="connect")
    assert SocialAccount.objects.get().user.email == "other@example.com"


# --- (d) Sessions -----------------------------------------------------------------------------


def test_a_sessions_key_changes_at_sign_in_and_the_old_one_is_worthless(google):
    verbs.create_user(email=OWNER, password=PASSWORD)
    client = people.visitor()
    client.post("/accounts/google/login/")  # a session from before
    planted = client.session.session_key
    client.post("/accounts/login/", {"login": OWNER, "password": PASSWORD})
    assert is_signed_in(client)
    assert client.session.session_key != planted
    assert not Session.objects.filter(pk=planted).exists()


def test_the_token_from_before_the_second_factor_opens_nothing_after_it():
    user = verbs.create_user(email=OWNER, password=PASSWORD)
    secret = generate_totp_secret()
    TOTP.activate(user, secret)
    client = people.visitor()
    sent = {"email": OWNER, "password": PASSWORD}
    begun = people.app(client, "POST", "auth/login", sent)
    assert begun.status_code == 401
    planted = begun.json()["meta"]["session_token"]
    assert client.get("/api/me", headers={"x-session-token": planted}).status_code == 401
    code = format_hotp_value(hotp_value(secret, int(time.time()) // 30))
    done = people.app(client, "POST", "auth/2fa/authenticate", {"code": code}, planted)
    assert done.status_code == 200
    token = done.json()["meta"]["session_token"]
    assert token != planted
    assert client.get("/api/me", headers={"x-session-token": token}).status_code == 200
    assert client.get("/api/me", headers={"x-session-token": planted}).status_code == 401
    assert people.app(client, "GET", "auth/session", token=planted).status_code in {401, 410}


def test_the_token_from_before_the_code_opens_nothing_after_it(squatter, mailoutbox):
    sent = {"key": code_in(mailoutbox, OWNER)}
    done = people.app(squatter, "POST", "auth/email/verify", sent, squatter.token)
    token = done.json()["meta"]["session_token"]
    assert token != squatter.token
    client = people.visitor()
    assert client.get("/api/me", headers={"x-session-token": token}).status_code == 200
    assert client.get("/api/me", headers={"x-session-token": squatter.token}).status_code == 401


# --- (e) Flows that somebody else began -------------------------------------------------------


def test_an_answer_of_the_provider_works_only_where_the_question_was_asked(google):
    """Else a thief could sign a victim in as the thief, and read what they then do."""
    thief, victim = people.visitor(), people.visitor()
    back = came_back(google, thief, google.add(Person("thief@example.com", "Thief")))
    victim.get(back)
    assert not is_signed_in(victim)
    victim.get("/accounts/login/")
    victim.get(back)
    assert not is_signed_in(victim)
    changed = back.replace("state=", "state=x")
    thief.get(changed)
    assert not is_signed_in(thief)


def test_and_only_once(google):
    client = people.visitor()
    back = came_back(google, client, google.add(Person(OWNER, "Owner")))
    assert parse_qs(urlsplit(back).query)["state"]
    client.get(back)
    assert is_signed_in(client)
    client.post("/accounts/logout/")
    client.get(back)
    assert not is_signed_in(client)


def test_signing_in_is_not_begun_by_a_link(google):
    answer = people.visitor().get("/accounts/google/login/")
    assert answer.status_code == 200, "a page with a button, and no redirect"


# --- An address of somebody else's ------------------------------------------------------------


def test_an_address_that_is_taken_is_not_had_even_with_the_code(mailoutbox):
    verbs.create_user(email=OWNER, password=PASSWORD)
    verbs.create_user(email="thief@example.com", password=THIEFS)
    token = people.session_token("thief@example.com", THIEFS)
    client = people.visitor()
    people.app(client, "POST", "auth/reauthenticate", {"password": THIEFS}, token)
    people.app(client, "POST", "account/email", {"email": OWNER}, token)
    sent = {"key": code_in(mailoutbox, OWNER)}
    assert people.app(client, "POST", "auth/email/verify", sent, token).status_code == 400
    assert User.objects.get(email="thief@example.com").pk
    assert EmailAddress.objects.get(email=OWNER).user.email == OWNER
