"""What programs learn by themselves: the OIDC discovery document, its keys, the headless API."""

import json

import jwt
import pytest
from allauth.idp.oidc.models import Client, Token

from accounts import extensions, verbs
from tests.accounts.people import EXTENSION, PASSWORD, browser, extension_tokens

CONFIGURATION = "/.well-known/openid-configuration"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_every_address_of_discovery_begins_with_the_public_one(db, client, settings, host):
    settings.PUBLIC_URL = "https://ai.example.com"
    found = client.get(CONFIGURATION, headers={"host": host}).json()
    assert found["issuer"] == "https://ai.example.com"
    addresses = {name: at for name, at in found.items() if name.endswith(("_endpoint", "_uri"))}
    assert len(addresses) == 7
    for name, address in addresses.items():
        assert address.startswith("https://ai.example.com/"), name


def test_every_address_of_discovery_answers(db, client, settings):
    found = client.get(CONFIGURATION).json()
    for name, address in found.items():
        if name.endswith(("_endpoint", "_uri")):
            path = address.removeprefix(settings.PUBLIC_URL)
            assert client.get(path).status_code not in {404, 500}, name


def test_the_published_keys_verify_an_id_token(clean_books, client, settings):
    settings.EXTENSION_IDS = [EXTENSION]
    extensions.sync()
    verbs.create_user(email="ada@example.com", password=PASSWORD)
    tokens = extension_tokens(browser("ada@example.com"))
    found = client.get(CONFIGURATION).json()
    keys = client.get(found["jwks_uri"].removeprefix(settings.PUBLIC_URL)).json()["keys"]
    by_id = {key["kid"]: key for key in keys}
    key = jwt.PyJWK(by_id[jwt.get_unverified_header(tokens["id_token"])["kid"]], "RS256")
    claims = jwt.decode(
        tokens["id_token"], key, ["RS256"], audience=EXTENSION, issuer=found["issuer"]
    )
    assert claims["sub"] == str(Token.objects.first().user_id)
    assert Client.objects.filter(pk=claims["aud"]).exists()
    assert not {"d", "p", "q"} & {part for key in keys for part in key}


def test_the_headless_api_describes_itself(db, client):
    answer = client.get("/_allauth/openapi.json")
    assert answer.status_code == 200
    paths = json.loads(answer.content)["paths"]
    assert {"/_allauth/app/v1/auth/signup", "/_allauth/app/v1/auth/session"} <= set(paths)
    assert [path for path in paths if "/browser/" in path or "phone" in path] == []


def test_each_path_it_describes_is_there(db, client):
    paths = client.get("/_allauth/openapi.json").json()["paths"]
    missing = [path for path in paths if client.options(path).status_code in {404, 500}]
    assert missing == []


@pytest.mark.parametrize("name", ["openapi.yaml", "openapi.html"])
def test_other_forms_of_it_are_not_served(db, client, name):
    assert client.get(f"/_allauth/{name}").status_code == 404
