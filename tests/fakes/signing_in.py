"""Going through a fake's authorize page as a browser and an application would."""

import base64
import hashlib
import re
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.fakes.identity import Person
from tests.fakes.identity.issuer import Issuer

REDIRECT = "http://127.0.0.1:9/callback/"
VERIFIER = "v" * 64


def challenge(verifier: str = VERIFIER) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def authorize(issuer: Issuer, **changes: str) -> httpx.Response:
    """Open the authorize page; an empty value leaves a parameter out."""
    query = {
        "client_id": issuer.client_id,
        "redirect_uri": REDIRECT,
        "response_type": "code",
        "scope": "openid email user:email",
        "state": "s1",
        "code_challenge": challenge(),
        "code_challenge_method": "S256",
        **changes,
    }
    query = {name: value for name, value in query.items() if value}
    return httpx.get(f"{issuer.url}{issuer.authorize_path}", params=query)


def press(issuer: Issuer, page: httpx.Response, **button: str) -> httpx.Response:
    found = re.search(r'name="request" value="([^"]+)"', page.text)
    assert found, page.text
    return httpx.post(f"{issuer.url}{issuer.authorize_path}", data={"request": found[1], **button})


def answered(response: httpx.Response) -> dict[str, str]:
    """What the application is told by the redirect."""
    assert response.status_code == 302, response.text
    address = response.headers["location"]
    assert address.startswith(REDIRECT)
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


def code_for(issuer: Issuer, person: Person, **changes: str) -> str:
    page = authorize(issuer, **changes)
    return answered(press(issuer, page, person=str(person.id)))["code"]


def redemption(issuer: Issuer, code: str, /, **changes: str) -> dict[str, str]:
    return {
        "grant_type": "authorization_code",
        "client_id": issuer.client_id,
        "client_secret": issuer.client_secret,
        "redirect_uri": REDIRECT,
        "code": code,
        "code_verifier": VERIFIER,
        **changes,
    }
