"""What pages may load, run, and send to."""

import pytest
from allauth.idp.oidc.models import Client as OidcClient

from accounts import csp, extensions
from tests.accounts.people import EXTENSION, visitor

pytestmark = pytest.mark.django_db


def policy(response):
    """The directives of an answer: name to its sources."""
    parts = response["content-security-policy"].split(";")
    words = [part.split() for part in parts]
    assert len({name for name, *_ in words}) == len(words), "a directive is there twice"
    return {name: sources for name, *sources in words}


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch):
    monkeypatch.setattr(csp, "_clients", (float("-inf"), []))


@pytest.mark.parametrize("path", ["/", "/accounts/login/", "/accounts/signup/", "/nowhere"])
def test_a_page_runs_files_of_ours_and_nothing_else(path):
    found = policy(visitor().get(path))
    assert found["default-src"] == ["'none'"]
    assert found["script-src"] == ["'self'"]
    assert found["style-src"] == ["'self'"]
    assert found["frame-ancestors"] == ["'none'"]
    assert found["base-uri"] == ["'none'"]


def test_a_sign_in_may_end_at_our_extensions_and_go_to_who_is_set_up(settings):
    assert policy(visitor().get("/accounts/login/"))["form-action"] == ["'self'"]
    settings.EXTENSION_IDS = [EXTENSION]
    known = settings.SOCIALACCOUNT_PROVIDERS
    app = [{"client_id": "id", "secret": "secret", "key": ""}]
    settings.SOCIALACCOUNT_PROVIDERS = {
        "google": {**known["google"], "APPS": app},
        "github": {**known["github"], "APPS": app, "GITHUB_URL": "https://git.example/path"},
    }
    assert policy(visitor().get("/accounts/login/"))["form-action"] == [
        "'self'",
        f"https://{EXTENSION}.chromiumapp.org",
        "https://accounts.google.com",
        "https://git.example",
    ]


def test_clients_that_the_operator_made_are_known_too(settings):
    settings.EXTENSION_IDS = [EXTENSION]
    extensions.sync()
    OidcClient.objects.create(
        id="desk", name="Desk", redirect_uris="https://desk.example:8443/cb\nfarebox-desk://cb"
    )
    assert policy(visitor().get("/accounts/login/"))["form-action"] == [
        "'self'",
        f"https://{EXTENSION}.chromiumapp.org",
        "https://desk.example:8443",
        "farebox-desk:",
    ]


def test_only_pages_of_signing_in_lead_elsewhere(settings):
    settings.EXTENSION_IDS = [EXTENSION]
    assert policy(visitor().get("/"))["form-action"] == ["'self'"]


@pytest.mark.parametrize("path", ["/api/plans", "/api/nowhere", "/identity/.well-known/none"])
def test_what_is_no_page_may_do_nothing(path):
    answer = visitor().get(path)
    if answer["content-type"].startswith("application/json"):
        assert policy(answer) == {"default-src": ["'none'"], "frame-ancestors": ["'none'"]}
    else:
        assert policy(answer)["script-src"] == ["'self'"]


def test_the_admin_and_the_description_have_policies_of_their_own(client, admin_user):
    client.force_login(admin_user)
    assert "'unsafe-eval'" in policy(client.get("/admin/"))["script-src"]
    assert policy(client.get("/admin/"))["frame-ancestors"] == ["'none'"]
    docs = policy(visitor().get("/api/docs"))
    assert docs["script-src"] == ["'self'"]
    assert docs["style-src"] == ["'self'", "'unsafe-inline'"]
