"""/metrics is nobody's by default; its settings fail loudly; the books' figures are the books'."""

import time
from datetime import timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured
from prometheus_client import generate_latest

from config.observability import books, metrics, values
from config.observability.books import Books
from ledger import verbs
from ledger.models import Reconciliation

TOKEN = "a-token-of-16-or-more"


@pytest.fixture(autouse=True)
def _fresh(monkeypatch, settings):
    """Figures of this test's, of a database that is asked for by those that want it."""
    monkeypatch.setattr(metrics, "_books", Books())
    settings.DATABASE_URL = "postgresql://nobody@127.0.0.1:1/nothing"
    settings.REDIS_URL = "redis://127.0.0.1:1/0"


@pytest.mark.parametrize(
    ("debug", "token", "remote", "forwarded", "status"),
    [
        (False, "", "127.0.0.1", None, 404),
        (False, "", "203.0.113.5", None, 404),
        (True, "", "127.0.0.1", None, 200),
        (True, "", "::1", None, 200),
        (True, "", "203.0.113.5", None, 404),
        (True, "", "127.0.0.1", "203.0.113.5", 404),
        (True, TOKEN, "127.0.0.1", None, 401),
        (False, TOKEN, "127.0.0.1", None, 401),
    ],
)
def test_without_a_token_it_is_there_for_the_machine_itself_under_debug(
    client, settings, debug, token, remote, forwarded, status
):
    settings.DEBUG, settings.METRICS_TOKEN = debug, token
    more = {"HTTP_X_FORWARDED_FOR": forwarded} if forwarded else {}
    answer = client.get("/metrics", REMOTE_ADDR=remote, **more)
    assert answer.status_code == status
    assert (b"farebox_" in answer.content) == (status == 200)


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
        (f"Basic {TOKEN}", 401),
        (TOKEN, 401),
        ("Bearer ", 401),
        ("Bearer ü", 401),
    ],
)
def test_the_token_is_a_bearers(client, settings, given, status):
    settings.METRICS_TOKEN = TOKEN
    answer = client.get("/metrics", headers={"authorization": given}, REMOTE_ADDR="203.0.113.5")
    assert answer.status_code == status


def test_what_is_away_is_told_in_bounded_time(client, settings):
    settings.METRICS_TOKEN = TOKEN
    begun = time.monotonic()
    answer = client.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"})
    assert time.monotonic() - begun < 2 * books.READ_SECONDS + 1
    told = answer.content.decode()
    assert "farebox_database_up 0.0" in told
    assert "farebox_valkey_up 0.0" in told
    assert "farebox_open_holds" not in told


def test_one_of_several_that_know_only_themselves_says_so(client, settings, monkeypatch):
    settings.METRICS_TOKEN = TOKEN
    monkeypatch.setattr("multiprocessing.parent_process", lambda: object())
    monkeypatch.setattr("common.metrics.FOLDER", "")
    answer = client.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 503
    assert "PROMETHEUS_MULTIPROC_DIR" in answer.json()["error"]["message"]


def test_the_books_figures_and_how_long_they_are_kept(settings, dsn, wallet, fund, monkeypatch):
    settings.DATABASE_URL = dsn
    fund(wallet, 1_000)
    for amount, minutes in ((300, 60), (50, -1)):
        _hold(wallet, amount, minutes)
    Reconciliation.objects.create(seconds=1, counts={}, violations=["one", "two"])
    asked = Books()
    for line in (
        "database_up 1.0", "open_holds 2.0", "held_microcredits 350.0", "overdue_holds 1.0",
        "overdue_held_microcredits 50.0", "reconcile_violations 2.0",
        'webhooks_last_hour{outcome="failed"} 0.0',
    ):  # fmt: skip
        assert f"farebox_{line}" in _told(asked), line
    _hold(wallet, 1, 60)
    assert "farebox_open_holds 2.0" in _told(asked)  # not read anew at once
    monkeypatch.setattr(books, "FRESH_SECONDS", 0)
    assert "farebox_open_holds 3.0" in _told(asked)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("METRICS_TOKEN", "short"),
        ("METRICS_TOKEN", "a token that is lóng enough"),
        ("PROMETHEUS_MULTIPROC_DIR", "/dev/null/folder"),
        ("SENTRY_DSN", "sentry.io/7"),
        ("SENTRY_DSN", "https://o1.ingest.sentry.io/7"),
        ("SENTRY_DSN", "https://key@o1.ingest.sentry.io"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "grpc://collector:4317"),
    ],
)
def test_a_bad_value_stops_the_start_with_its_name(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured, match=f"^{name}: ") as problem:
        values.settings(debug=False)
    assert value not in str(problem.value)


def test_good_values(monkeypatch, tmp_path):
    good = {
        "METRICS_TOKEN": TOKEN,
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "new" / "folder"),
        "SENTRY_DSN": "https://key@o1.ingest.sentry.io/7",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
    }
    for name, value in good.items():
        monkeypatch.setenv(name, value)
    found = values.settings(debug=False)
    assert good.items() <= found.items()
    assert (tmp_path / "new" / "folder").is_dir()
    assert found["SENTRY_ENVIRONMENT"] == "production"


def _told(asked):
    class Registry:
        def collect(self):
            return asked.collect()

    return generate_latest(Registry()).decode()


def _hold(wallet, amount, minutes):
    lease = timedelta(minutes=minutes)
    verbs.hold(account=wallet, amount=amount, key=f"h{amount}", kind="api", lease=lease)
