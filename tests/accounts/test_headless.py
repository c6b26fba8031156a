"""The whole way by HTTP alone, against the real processes: web, worker, mail server.

What a program does: sign up, verify with the code from the mail, make a key, stream a call, and
look at what it cost.
"""

import shutil
import tempfile
from pathlib import Path

import httpx
import pytest
from django.db import connection
from psycopg.conninfo import make_conninfo

from accounts import extensions
from tests.browser.site import OwnValkey, Site, site_environment
from tests.fakes.identity import FakeGitHub, FakeGoogle
from tests.fakes.smtp import FakeMail
from tests.proxy.server import SECRET_KEY, wait_for
from usage.sync import sync_models

PASSWORD = "correct horse battery"
HELLO = {"model": "demo", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
def site(proved, tmp_path):
    """A deployment with nobody in it, and its mail server."""
    sync_models()
    extensions.sync()
    home = Path(tempfile.mkdtemp(prefix="fb-"))  # not below pytest's own folder, which is closed
    valkey = OwnValkey(home)
    settings = connection.settings_dict
    database = make_conninfo(
        dbname=settings["NAME"],
        user=settings["USER"] or None,
        password=settings["PASSWORD"] or None,
        host=settings["HOST"] or None,
        port=settings["PORT"] or None,
    )
    with FakeMail() as mail, FakeGoogle() as google, FakeGitHub() as github:
        environment = site_environment(database, valkey, mail, google, github)
        limits = {"SIGN_IN_RATE_ADDRESS": "5", "API_RATE_ADDRESS": "120/minute"}
        site = Site(environment | limits, tmp_path / "web.log").start()
        site.mail = mail
        yield site
        site.stop()
    valkey.stop()
    shutil.rmtree(home)
    log = site.log_text()
    assert "Traceback" not in log, log[-8_000:]
    assert SECRET_KEY not in log


@pytest.fixture
def http(site):
    with httpx.Client(base_url=site.url, timeout=30) as client:
        yield client


def test_from_nothing_to_a_paid_call(site, http):
    app = "/_allauth/app/v1"

    begun = http.post(f"{app}/auth/signup", json={"email": "ada@example.com", "password": PASSWORD})
    assert begun.status_code == 401
    pending = [flow["id"] for flow in begun.json()["data"]["flows"] if flow.get("is_pending")]
    assert pending == ["verify_email"]
    before = {"x-session-token": begun.json()["meta"]["session_token"]}
    for path in ("/api/me", "/api/keys"):
        assert http.get(path, headers=before).status_code == 401
    assert http.post("/v1/chat/completions", headers=before, json=HELLO).status_code == 401

    code = site.mail.code_for("ada@example.com")
    wrong = http.post(f"{app}/auth/email/verify", headers=before, json={"key": "BBBB-BBBB"})
    assert wrong.status_code == 400
    done = http.post(f"{app}/auth/email/verify", headers=before, json={"key": code})
    assert done.status_code == 200, done.text
    after = {"x-session-token": done.json()["meta"]["session_token"]}
    assert after != before
    assert http.get("/api/me", headers=before).status_code == 401
    replayed = http.post(f"{app}/auth/email/verify", headers=after, json={"key": code})
    assert replayed.status_code == 409

    me = http.get("/api/me", headers=after).json()
    assert me["email"] == "ada@example.com"
    assert me["balance"]["available"] == "1.000000"

    made = http.post("/api/keys", headers=after, json={"name": "laptop"})
    assert made.status_code == 201, made.text
    key = {"authorization": f"Bearer {made.json()['api_key']}"}

    with http.stream("POST", "/v1/chat/completions", headers=key, json=HELLO) as answer:
        assert answer.status_code == 200
        call = answer.headers["x-farebox-call"]
        lines = [line for line in answer.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    assert len(lines) > 3

    wait_for(
        lambda: http.get(f"/api/calls/{call}", headers=key).json()["status"] == "completed",
        what="the call is booked",
    )
    receipt = http.get(f"/api/calls/{call}", headers=key).json()
    me = http.get("/api/me", headers=key).json()
    assert me["month"]["requests"] == 1
    assert me["month"]["spent"] == receipt["spent"]
    assert float(receipt["spent"]) > 0
    assert float(me["balance"]["available"]) == pytest.approx(1 - float(receipt["spent"]))

    out = http.request("DELETE", f"{app}/auth/session", headers=after)
    assert out.status_code == 401
    assert http.get("/api/me", headers=after).status_code == 401
    assert http.get("/api/me", headers=key).status_code == 200, "keys are no sign-ins"


def test_forged_headers_do_not_reach_past_the_limit_of_sign_ups(site):
    """The server's own reading of forwarded headers is off: uvicorn would believe loopback."""
    statuses = []
    for number in range(8):
        answer = httpx.post(
            f"{site.url}/_allauth/app/v1/auth/signup",
            json={"email": f"farm{number}@example.com", "password": PASSWORD},
            headers={"x-forwarded-for": f"198.51.100.{number}"},
        )
        statuses.append(answer.status_code)
    assert statuses == [401] * 5 + [429] * 3
