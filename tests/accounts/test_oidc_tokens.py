"""The OIDC provider's tokens: a code and a refresh token count once, and a thief's use ends all."""

import base64
import threading
from datetime import timedelta

import pytest
from allauth.idp.oidc.internal.oauthlib.request_validator import OAuthLibRequestValidator
from allauth.idp.oidc.models import Client as OIDCClient
from allauth.idp.oidc.models import Token
from django.core.cache import cache
from django.db import OperationalError
from django.utils import timezone

from accounts import extensions, families, verbs
from accounts.models import FamilyToken, TokenFamily
from accounts.views import oidc
from tests.accounts.people import (
    EXTENSION,
    PASSWORD,
    apart,
    ask_token,
    authorization,
    browser,
    code_by,
    cookie_of,
    extension_tokens,
    redemption,
    renewal,
    revoke,
    visitor,
)
from tests.racing import at_once

EMAIL = "ada@example.com"


@pytest.fixture(autouse=True)
def extension(clean_books, settings):
    settings.EXTENSION_IDS = [EXTENSION]
    extensions.sync()


@pytest.fixture
def ada(extension):
    return verbs.create_user(email=EMAIL, password=PASSWORD)


@pytest.fixture
def page(ada):
    return browser(EMAIL)


@pytest.fixture
def tokens(page):
    return extension_tokens(page)


def is_in(access_token):
    answer = visitor().get("/api/usage", headers={"authorization": f"Bearer {access_token}"})
    assert answer.status_code in {200, 401}
    return answer.status_code == 200


def assert_refused(answer, words="", status=400, error="invalid_grant"):
    assert answer.status_code == status, answer.content
    assert answer.json()["error"] == error
    assert words in answer.json().get("error_description", "")
    assert answer["cache-control"] == "no-store"


def test_a_code_becomes_tokens_that_nobody_keeps_on_the_way(page, ada):
    answer = ask_token(redemption(code_by(page)))

    assert answer["cache-control"] == "no-store"
    given = answer.json()
    assert given["expires_in"] == 900
    assert is_in(given["access_token"])
    family = TokenFamily.objects.get()
    assert (family.user, family.client) == (ada, EXTENSION)
    assert family.tokens.count() == Token.objects.count() == 2


def test_a_code_shown_again_ends_what_it_gave(page):
    code = code_by(page)
    given = ask_token(redemption(code)).json()

    assert_refused(ask_token(redemption(code)), "used before")

    assert not is_in(given["access_token"])
    assert_refused(ask_token(renewal(given["refresh_token"])))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"code_verifier": "w" * 64}, "invalid_grant"),
        ({"client_id": "b" * 32}, "invalid_client"),
        ({"redirect_uri": "https://evil.example/cb"}, "invalid_request"),
    ],
)
def test_a_code_in_wrong_hands_stays_its_owners(page, change, error):
    code = code_by(page)

    refused = ask_token(redemption(code, **change))

    assert refused.status_code in {400, 401}
    assert refused.json()["error"] == error
    assert ask_token(redemption(code)).status_code == 200


def test_of_many_who_show_one_code_at_once_one_wins_at_most(page):
    code = code_by(page)

    answers = at_once([apart(lambda: ask_token(redemption(code)))] * 6)

    won = [answer.json() for answer in answers if answer.status_code == 200]
    assert {answer.status_code for answer in answers} <= {200, 400}
    assert len(won) <= 1
    assert not any(is_in(given["access_token"]) for given in won)


def test_a_code_counts_only_while_its_sign_in_stands(page):
    code = code_by(page)
    page.post("/accounts/logout/")

    assert_refused(ask_token(redemption(code)), "signed out")
    assert not Token.objects.exists()


def test_a_code_from_before_a_changed_password_is_refused(page, ada):
    code = code_by(page)
    ada.set_password("staple battery horse")
    ada.save()

    assert_refused(ask_token(redemption(code)), "signed out")
    assert not Token.objects.exists()


def test_a_renewal_gives_the_next_pair_and_the_sign_in_goes_on(tokens):
    renewed = ask_token(renewal(tokens["refresh_token"])).json()

    assert is_in(renewed["access_token"])
    assert is_in(tokens["access_token"])  # until it expires
    again = ask_token(renewal(renewed["refresh_token"]))
    assert again.status_code == 200
    assert TokenFamily.objects.count() == 1
    assert FamilyToken.objects.filter(spent_at=None).count() == 4


def test_a_spent_refresh_token_ends_the_family_of_both_thief_and_owner(tokens):
    renewed = ask_token(renewal(tokens["refresh_token"])).json()

    assert_refused(ask_token(renewal(tokens["refresh_token"])), "sign in again")

    assert not is_in(tokens["access_token"])
    assert not is_in(renewed["access_token"])
    assert_refused(ask_token(renewal(renewed["refresh_token"])))
    assert not Token.objects.exists()
    assert_refused(ask_token(renewal(tokens["refresh_token"])), "used before")


def test_reuse_ends_one_sign_in_and_no_other(page, tokens):
    other = extension_tokens(page)
    ask_token(renewal(tokens["refresh_token"]))
    ask_token(renewal(tokens["refresh_token"]))

    assert not is_in(tokens["access_token"])
    assert is_in(other["access_token"])
    assert is_in(ask_token(renewal(other["refresh_token"])).json()["access_token"])


def test_a_refresh_token_in_another_clients_hands_is_not_spent(tokens):
    OIDCClient.objects.create(
        id="other", type="public", grant_types="refresh_token", scopes="openid"
    )

    assert_refused(ask_token(renewal(tokens["refresh_token"], client_id="other")))
    assert ask_token(renewal(tokens["refresh_token"])).status_code == 200


def test_of_many_renewals_at_once_with_one_token_one_wins_and_the_family_ends(tokens):
    answers = at_once([apart(lambda: ask_token(renewal(tokens["refresh_token"])))] * 6)

    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 5
    (won,) = [answer.json() for answer in answers if answer.status_code == 200]
    assert not is_in(won["access_token"])
    assert not Token.objects.exists()


def test_without_the_lock_many_would_win(tokens, monkeypatch):
    """The control: what the lock is there for."""
    monkeypatch.setattr(families, "lock", families.place_of)
    gate = threading.Barrier(4)
    genuine = OAuthLibRequestValidator.save_bearer_token

    def together(*args, **kwargs):
        gate.wait(timeout=20)  # all have been found valid by now
        return genuine(*args, **kwargs)

    monkeypatch.setattr(OAuthLibRequestValidator, "save_bearer_token", together)

    answers = at_once([apart(lambda: ask_token(renewal(tokens["refresh_token"])))] * 4)

    won = [answer.json() for answer in answers if answer.status_code == 200]
    assert len(won) == 4
    assert all(is_in(given["access_token"]) for given in won)


def test_a_renewal_at_the_moment_of_a_changed_password_does_not_outlive_it(ada, tokens):
    def change():
        ada.set_password("staple battery horse")
        ada.save()

    def renew():
        return ask_token(renewal(tokens["refresh_token"]))

    _, answer = at_once([apart(change), apart(renew)])

    assert answer.status_code in {200, 400}
    if answer.status_code == 200:
        assert not is_in(answer.json()["access_token"])
    assert not Token.objects.exists()


def test_expired_tokens(ada, tokens):
    Token.objects.update(expires_at=timezone.now())

    assert not is_in(tokens["access_token"])
    assert_refused(ask_token(renewal(tokens["refresh_token"])))
    assert FamilyToken.objects.filter(spent_at=None).count() == 2


def test_a_disabled_user_renews_nothing(ada, tokens):
    ada.is_active = False
    ada.save()

    assert_refused(ask_token(renewal(tokens["refresh_token"])))


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
def test_either_token_signs_out_all(tokens, which):
    renewed = ask_token(renewal(tokens["refresh_token"])).json()

    assert revoke(renewed[which]).status_code == 200

    assert not is_in(renewed["access_token"])
    assert not is_in(tokens["access_token"])
    assert_refused(ask_token(renewal(renewed["refresh_token"])))


def test_a_spent_refresh_token_signs_out_too(tokens):
    renewed = ask_token(renewal(tokens["refresh_token"])).json()

    assert revoke(tokens["refresh_token"]).status_code == 200
    assert not is_in(renewed["access_token"])


def test_signing_out_twice_or_with_nonsense_is_no_error(tokens):
    assert revoke(tokens["access_token"]).status_code == 200
    assert revoke(tokens["access_token"]).status_code == 200
    assert revoke("nonsense").status_code == 200


def test_another_client_can_sign_nobody_out(tokens):
    OIDCClient.objects.create(id="other", type="public")

    assert_refused(revoke(tokens["access_token"], "other"), "another client")
    assert revoke(tokens["access_token"], "").status_code == 401
    assert is_in(tokens["access_token"])


def basic(client, secret):
    pair = base64.b64encode(f"{client}:{secret}".encode()).decode()
    return {"authorization": f"Basic {pair}"}


def test_an_operators_client_that_names_itself_by_basic_auth_has_families_too(page):
    client = OIDCClient(
        id="backend",
        type="confidential",
        grant_types="authorization_code\nrefresh_token",
        redirect_uris="https://app.example/cb",
        scopes="openid",
        skip_consent=True,
    )
    client.set_secret("s3cret")
    client.save()
    uri = "https://app.example/cb"
    answer = page.get(
        "/identity/o/authorize",
        authorization(client_id="backend", redirect_uri=uri, scope="openid"),
    )
    code = answer["location"].split("code=")[1].split("&")[0]
    mine = basic("backend", "s3cret")
    body = redemption(code, redirect_uri=uri)
    del body["client_id"]
    given = ask_token(body, headers=mine)
    assert given.status_code == 200, given.content
    assert TokenFamily.objects.get().client == "backend"
    body = renewal(given.json()["refresh_token"])
    del body["client_id"]
    assert ask_token(body, headers=basic("backend", "wrong")).status_code == 401
    renewed = ask_token(body, headers=mine).json()

    assert revoke(renewed["access_token"], "", headers=basic(EXTENSION, "")).status_code == 400
    assert revoke(renewed["access_token"], "", headers=mine).status_code == 200
    assert not is_in(renewed["access_token"])


@pytest.mark.parametrize("path", ["/identity/o/api/token", "/identity/o/api/revoke"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_post_only(path, method):
    answer = visitor().generic(method, path)

    assert_refused(answer, "POST", 405, "invalid_request")
    assert answer["allow"] == "POST"


@pytest.mark.parametrize("path", ["/identity/o/api/token", "/identity/o/api/revoke"])
@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", "application/x-www-form-urlencoded", 400),
        (b"grant_type=refresh_token&refresh_token=%00&client_id=%00", None, 400),
        (b"grant_type=authorization_code&code=a%00&token=%00&client_id=a", None, 400),
        (b"token=" + b"a" * 3000, None, 400),
        (b"token=" + b"a" * 20_000, None, 413),
        (b"grant_type=%ff%fe&token=%ff", None, 400),
        (b'{"grant_type": "refresh_token"}', "application/json", 400),
        (b"--x\r\nnonsense", "multipart/form-data; boundary=x", 400),
        (b"grant_type=password&username=a&password=b", None, 400),
        (b"grant_type=refresh_token&client_id=" + b"a" * 32, None, 400),
        (b"grant_type=authorization_code&client_id=" + b"a" * 32, None, 400),
    ],
)
def test_bad_bodies_are_refused_and_break_nothing(path, body, kind, status):
    answer = visitor().post(path, body, content_type=kind or "application/x-www-form-urlencoded")

    assert answer.status_code == status or (status == 400 and answer.status_code == 401)


@pytest.mark.parametrize("name", ["client_id", "redirect_uri", "scope", "state", "code_challenge"])
def test_a_nul_in_the_authorization_request_breaks_nothing(page, name):
    assert page.get("/identity/o/authorize", authorization(**{name: "a\0b"})).status_code == 400


def test_while_the_database_is_away_the_code_is_kept(page, monkeypatch):
    code = code_by(page)

    def away(*_, **__):
        raise OperationalError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(families, "found", away)
        answer = ask_token(redemption(code))
        assert_refused(answer, "try again", 503, "temporarily_unavailable")
        assert answer["retry-after"] == "2"

    assert not Token.objects.exists()


def test_what_no_token_needs_is_forgotten(tokens):
    ask_token(renewal(tokens["refresh_token"]))
    assert families.forget_expired() == 0
    past = timezone.now() - timedelta(days=1)
    Token.objects.update(expires_at=past)
    FamilyToken.objects.update(expires_at=past)
    TokenFamily.objects.update(created_at=past)

    assert families.forget_expired() == 4
    assert not Token.objects.exists()
    assert not TokenFamily.objects.exists()


def test_the_memory_of_a_code_is_no_secret_in_the_cache(page):
    code = code_by(page)
    assert cache.get(f"oidc:code:{code}:session") is None
    assert cache.get(f"{oidc._mark(code)}:session") == cookie_of(page)
