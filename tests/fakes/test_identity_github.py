"""The fake GitHub answers as GitHub does: refusals too come with status 200, as a form."""

from urllib.parse import parse_qsl

import httpx
import pytest

from tests.fakes.identity import FakeGitHub, Fault, Person
from tests.fakes.signing_in import REDIRECT, answered, authorize, code_for, press, redemption


@pytest.fixture
def github():
    with FakeGitHub() as github:
        github.allow(REDIRECT)
        yield github


@pytest.fixture
def ada(github):
    return github.add(Person("ada@example.com", "Ada Byron"))


def redeem(github, code, /, **changes):
    data = redemption(github, code, **changes)
    response = httpx.post(f"{github.url}/login/oauth/access_token", data=data)
    assert response.status_code == 200
    return dict(parse_qsl(response.text))


def ask(github, path, token):
    return httpx.get(f"{github.url}/api/v3{path}", headers={"authorization": f"token {token}"})


def test_a_button_signs_a_person_in(github, ada):
    ada.more.append(("ada@work.example", False))
    told = answered(press(github, authorize(github), person=str(ada.id)))
    assert told["state"] == "s1"
    token = redeem(github, told["code"])["access_token"]
    user = ask(github, "/user", token).json()
    assert (user["id"], user["login"], user["email"]) == (ada.id, "ada-byron", "ada@example.com")
    emails = ask(github, "/user/emails", token).json()
    assert [(e["email"], e["verified"], e["primary"]) for e in emails] == [
        ("ada@example.com", True, True), ("ada@work.example", False, False),
    ]  # fmt: skip


def test_addresses_are_for_those_who_asked_for_them(github, ada):
    token = redeem(github, code_for(github, ada, scope="read:user"))["access_token"]
    assert ask(github, "/user", token).status_code == 200
    assert ask(github, "/user/emails", token).status_code == 404


def test_json_for_those_who_prefer_it(github, ada):
    response = httpx.post(
        f"{github.url}/login/oauth/access_token",
        data=redemption(github, code_for(github, ada)),
        headers={"accept": "application/json"},
    )
    assert response.json()["token_type"] == "bearer"


@pytest.mark.parametrize(
    "changes,error",
    [
        ({"client_secret": "wrong"}, "incorrect_client_credentials"),
        ({"redirect_uri": "http://127.0.0.1:9/elsewhere/"}, "redirect_uri_mismatch"),
        ({"code": "unknown"}, "bad_verification_code"),
        ({"code_verifier": "w" * 64}, "bad_verification_code"),
    ],
)
def test_refusals(github, ada, changes, error):
    assert redeem(github, code_for(github, ada), **changes)["error"] == error


def test_pkce_may_be_left_out(github, ada):
    code = code_for(github, ada, code_challenge="", code_challenge_method="")
    assert "access_token" in redeem(github, code)


def test_a_code_works_once_and_shown_again_ends_its_token(github, ada):
    code = code_for(github, ada)
    token = redeem(github, code)["access_token"]
    assert redeem(github, code)["error"] == "bad_verification_code"
    assert ask(github, "/user", token).status_code == 401


@pytest.mark.parametrize(
    "changes", [{"client_id": "another"}, {"redirect_uri": "http://127.0.0.1:9/elsewhere/"}]
)
def test_nobody_is_sent_to_a_stranger(github, ada, changes):
    response = authorize(github, **changes)
    assert response.status_code == 400
    assert "location" not in response.headers


def test_faults(github, ada):
    github.once(Fault.DENIED, Fault.EXPIRED_CODE, Fault.BAD_TOKEN, Fault.BROKEN_USER)
    assert answered(authorize(github))["error"] == "access_denied"
    assert redeem(github, code_for(github, ada))["error"] == "bad_verification_code"
    token = redeem(github, code_for(github, ada))["access_token"]
    assert ask(github, "/user", token).status_code == 401
    token = redeem(github, code_for(github, ada))["access_token"]
    assert ask(github, "/user", token).status_code == 500
    assert ask(github, "/user", token).status_code == 200, "only once"
