"""/healthz and /readyz: told apart, quick, and not stopped by what stops other requests."""

import time

import psycopg
import pytest
from django.db import connection

from common import health


@pytest.fixture
def _here(monkeypatch, settings, dsn):
    """Ready looks at the test's own database."""
    settings.DATABASE_URL = dsn


def test_alive_asks_nothing_of_anybody(client, monkeypatch, settings):
    settings.DATABASE_URL = "postgresql://nobody@127.0.0.1:1/nothing"
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert response["x-request-id"]


@pytest.mark.usefixtures("db", "_here")
def test_ready_when_all_is_there(client):
    response = client.get("/readyz")
    assert response.json() == {
        "status": "ok",
        "checks": {"database": "ok", "migrations": "ok", "valkey": "ok"},
    }
    assert response.status_code == 200


@pytest.mark.usefixtures("db", "_here")
def test_a_load_balancer_may_ask_by_any_name_and_without_https(client, settings):
    settings.ALLOWED_HOSTS = ["farebox.example"]
    settings.SECURE_SSL_REDIRECT = True
    for path in ("/healthz", "/readyz"):
        assert client.get(path, headers={"host": "10.1.2.3"}).status_code == 200


QUICK = 10  # seconds, on a busy machine; nothing would end a wait that has no limit


@pytest.fixture
def _asked_before(client):
    """The first answer of a process reads all migrations, which takes seconds of CPU."""
    client.get("/readyz")


@pytest.mark.usefixtures("_asked_before")
def test_not_ready_without_a_database_and_quick_about_it(client, settings):
    settings.DATABASE_URL = "postgresql://nobody@127.0.0.1:1/nothing"
    began = time.monotonic()
    response = client.get("/readyz")
    assert time.monotonic() - began < QUICK
    assert response.status_code == 503
    assert response["retry-after"]
    assert response.json()["checks"]["database"] == "unreachable"
    assert "nobody" not in response.content.decode()


@pytest.mark.usefixtures("_asked_before")
def test_not_ready_with_a_database_that_never_answers(client, settings, silent_port):
    settings.DATABASE_URL = f"postgresql://nobody@127.0.0.1:{silent_port}/nothing"
    began = time.monotonic()
    response = client.get("/readyz")
    assert time.monotonic() - began < QUICK
    assert response.json()["checks"]["database"] == "unreachable"


@pytest.mark.usefixtures("db", "_here")
def test_not_ready_without_valkey(client, settings, silent_port):
    for port in (1, silent_port):
        settings.REDIS_URL = f"redis://127.0.0.1:{port}/0"
        response = client.get("/readyz")
        assert response.status_code == 503
        assert response.json()["checks"] == {
            "database": "ok",
            "migrations": "ok",
            "valkey": "unreachable",
        }


@pytest.mark.usefixtures("db", "_here")
def test_not_ready_while_migrations_are_missing(client, monkeypatch):
    more = health.expected_migrations() | {("usage", "9999_tomorrow")}
    monkeypatch.setattr(health, "expected_migrations", lambda: more)
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["checks"]["migrations"] == "1 not applied"


@pytest.mark.usefixtures("db")
def test_not_ready_on_an_empty_database(client, settings, dsn):
    settings.DATABASE_URL = psycopg.conninfo.make_conninfo(dsn, dbname="template1")
    checks = client.get("/readyz").json()["checks"]
    assert checks["database"] == "ok"
    assert checks["migrations"] == "none applied"
    assert connection.settings_dict["NAME"] != "template1"
