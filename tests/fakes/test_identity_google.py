"""The fake Google refuses what Google refuses, and its ID tokens verify as Google's do."""

import httpx
import jwt
import pytest
from cryptography import x509

from tests.fakes.identity import FakeGoogle, Fault, Person
from tests.fakes.signing_in import REDIRECT, answered, authorize, code_for, press, redemption


@pytest.fixture
def google():
    with FakeGoogle() as google:
        google.allow(REDIRECT)
        yield google


@pytest.fixture
def ada(google):
    return google.add(Person("ada@example.com", "Ada Byron"))


def redeem(google, code, /, **changes):
    return httpx.post(f"{google.url}/token", data=redemption(google, code, **changes))


def claims(google, token, **options):
    """As a relying party verifies it: by the certificate of its key id."""
    certificates = httpx.get(f"{google.url}/oauth2/v1/certs").json()
    pem = certificates[jwt.get_unverified_header(token)["kid"]]
    key = x509.load_pem_x509_certificate(pem.encode()).public_key()
    options = {"audience": google.client_id, "issuer": google.url} | options
    return jwt.decode(token, key, algorithms=["RS256"], **options)


def test_a_button_signs_a_person_in(google, ada):
    page = authorize(google)
    assert "Ada Byron (ada@example.com)" in page.text
    told = answered(press(google, page, person=str(ada.id)))
    assert told["state"] == "s1"
    given = redeem(google, told["code"]).json()
    found = claims(google, given["id_token"])
    assert (found["sub"], found["email"], found["email_verified"]) == (
        str(ada.id), "ada@example.com", True,
    )  # fmt: skip
    bearer = {"authorization": f"Bearer {given['access_token']}"}
    info = httpx.get(f"{google.url}/oauth2/v2/userinfo", headers=bearer).json()
    assert info == {"id": str(ada.id), "email": "ada@example.com", "verified_email": True}


def test_what_changes_about_a_person_is_told_the_next_time(google, ada):
    ada.email, ada.verified = "lovelace@example.com", False
    found = claims(google, redeem(google, code_for(google, ada)).json()["id_token"])
    assert (found["sub"], found["email"], found["email_verified"]) == (
        str(ada.id), "lovelace@example.com", False,
    )  # fmt: skip


def test_cancelling_is_told_to_the_application(google, ada):
    told = answered(press(google, authorize(google), cancel=""))
    assert told == {"error": "access_denied", "state": "s1"}


def test_without_a_page_when_somebody_is_always_signed_in(google, ada):
    google.automatic = ada
    assert redeem(google, answered(authorize(google))["code"]).status_code == 200


@pytest.mark.parametrize(
    "changes", [{"client_id": "another"}, {"redirect_uri": "http://127.0.0.1:9/elsewhere/"}]
)
def test_nobody_is_sent_to_a_stranger(google, ada, changes):
    response = authorize(google, **changes)
    assert response.status_code == 400
    assert "location" not in response.headers


@pytest.mark.parametrize(
    "changes,status,error",
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "another"}, 401, "invalid_client"),
        ({"redirect_uri": "http://127.0.0.1:9/elsewhere/"}, 400, "invalid_grant"),
        ({"code_verifier": "w" * 64}, 400, "invalid_grant"),
        ({"code_verifier": ""}, 400, "invalid_grant"),
        ({"code": "unknown"}, 400, "invalid_grant"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ],
)
def test_a_code_is_for_its_client_redirect_and_verifier(google, ada, changes, status, error):
    response = redeem(google, code_for(google, ada), **changes)
    assert (response.status_code, response.json()["error"]) == (status, error)


def test_a_code_works_once_and_shown_again_ends_its_token(google, ada):
    code = code_for(google, ada)
    bearer = {"authorization": f"Bearer {redeem(google, code).json()['access_token']}"}
    asked = f"{google.url}/oauth2/v2/userinfo"
    assert httpx.get(asked, headers=bearer).status_code == 200
    assert redeem(google, code).json()["error"] == "invalid_grant"
    assert httpx.get(asked, headers=bearer).status_code == 401


@pytest.mark.parametrize(
    "fault,error",
    [(Fault.DENIED, "access_denied"), (Fault.BROKEN_AUTHORIZE, "server_error")],
)
def test_faults_of_the_authorize_page(google, ada, fault, error):
    google.once(fault)
    assert answered(authorize(google))["error"] == error
    assert authorize(google).status_code == 200, "only once"


def test_faults_of_the_redemption(google, ada):
    google.once(Fault.BROKEN_TOKEN, Fault.EXPIRED_CODE)
    assert redeem(google, code_for(google, ada)).status_code == 500
    assert redeem(google, code_for(google, ada)).json()["error"] == "invalid_grant"
    assert redeem(google, code_for(google, ada)).status_code == 200


def test_a_bad_token_is_meant_for_another(google, ada):
    google.once(Fault.BAD_TOKEN)
    token = redeem(google, code_for(google, ada)).json()["id_token"]
    with pytest.raises(jwt.InvalidAudienceError):
        claims(google, token)


def test_id_tokens_for_one_tap_good_and_bad(google, ada):
    assert claims(google, google.id_token(ada))["sub"] == str(ada.id)
    with pytest.raises(jwt.InvalidSignatureError):
        claims(google, google.id_token(ada, forged=True))
    with pytest.raises(jwt.ExpiredSignatureError):
        claims(google, google.id_token(ada, age=7200))
    with pytest.raises(jwt.InvalidIssuerError):
        claims(google, google.id_token(ada, issuer="https://accounts.example.com"))
