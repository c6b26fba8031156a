"""Whatever is sent to sign-in's addresses, the answer is no 5xx."""

import pytest

from accounts import extensions, verbs
from tests.accounts import people

pytestmark = pytest.mark.django_db
EMAIL = "ada@example.com"
BODIES = {
    "too deep": b'{"a":' * 3000 + b"1" + b"}" * 3000,
    "a list too deep": b"[" * 100_000,
    "half a surrogate pair": b'{"email": "ada@example.com", "password": "\\ud800", "provider": '
    b'"\\ud800", "process": "login", "token": {"client_id": "x", "id_token": "x"}}',
    "no number": b'{"id": Infinity, "email": "ada@example.com", "password": NaN}',
    "no UTF-8": b"\xff\xfe{}",
    "no JSON": b"{",
}


@pytest.fixture
def ada(settings):
    settings.EXTENSION_IDS = [people.EXTENSION]
    extensions.sync()
    return verbs.create_user(email=EMAIL, password=people.PASSWORD)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("path", ["auth/login", "auth/signup", "auth/provider/token"])
def test_unreadable_json_is_bad_input(ada, path, body):
    answer = people.visitor().generic(
        "POST", f"{people.APP}/{path}", body, content_type="application/json"
    )
    assert answer.status_code == 400
    assert "passed" not in answer.content.decode()


def test_json_that_can_be_read_is_read(ada):
    token = people.session_token(EMAIL)
    answer = people.app(people.visitor(), "POST", "auth/login", {"email": "é", "password": "ü"})
    assert answer.json()["errors"][0]["param"] == "email"
    assert people.app(people.visitor(), "GET", "auth/session", token=token).status_code == 200


def test_a_passkey_for_no_sign_up_is_a_conflict():
    answer = people.app(
        people.visitor(), "PUT", "auth/webauthn/signup", {"name": "x", "credential": {}}
    )
    assert answer.status_code == 409


def test_a_passkey_that_cannot_be_read_is_bad_input(ada):
    credential = {
        "id": "x",
        "rawId": "x",
        "type": "public-key",
        "response": {"clientDataJSON": "x", "attestationObject": "x"},
    }
    answer = people.app(
        people.visitor(),
        "POST",
        "account/authenticators/webauthn",
        {"name": "mine", "credential": credential},
        people.session_token(EMAIL),
    )
    assert answer.status_code == 400


@pytest.mark.parametrize("path", ["google/login/", "google/login/callback/", "github/login/"])
def test_a_provider_without_a_client_is_not_there(settings, path):
    settings.SOCIALACCOUNT_PROVIDERS = {"google": {"APPS": []}, "github": {"APPS": []}}
    assert people.visitor().get(f"/accounts/{path}?state=x").status_code == 404


def test_telephones_are_not_there(ada):
    answer = people.app(
        people.visitor(), "POST", "account/phone", {"phone": "+1"}, people.session_token(EMAIL)
    )
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("token", people.renewal("x", resource="nowhere")),
        ("device/code", {"client_id": "\0"}),
        ("device/code", {"client_id": people.EXTENSION}),
    ],
)
def test_the_provider_refuses_in_its_own_shape(ada, path, body):
    answer = people.visitor().post(f"/identity/o/api/{path}", body)
    assert answer.status_code == 400
    assert "error" in answer.json()


@pytest.mark.parametrize(
    "path", ["/accounts/2fa/webauthn/login/", f"{people.APP}/auth/webauthn/login"]
)
def test_a_passkey_that_is_not_known_says_what_to_do(ada, path):
    browser = people.visitor()
    credential = (
        '{"id": "eA", "rawId": "eA", "type": "public-key", "response": {"userHandle": "MA",'
        ' "clientDataJSON": "e30", "authenticatorData": "eA", "signature": "eA"}}'
    )
    if path.startswith("/_"):
        answer = browser.generic(
            "POST", path, f'{{"credential": {credential}}}', content_type="application/json"
        )
        assert "removed" in answer.json()["errors"][0]["message"]
    else:
        answer = browser.post(path, {"credential": credential}, follow=True)
        assert "it may have been removed" in answer.content.decode()
