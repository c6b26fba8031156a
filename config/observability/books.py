"""Figures that no process keeps: read from the database and the queue when somebody asks.

At most every ``FRESH_SECONDS`` and within ``READ_SECONDS``, on a connection of its own, so that
asking often costs nothing and an exhausted pool hides nothing. What is away is said to be, and its
figures are left out.
"""

import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

import psycopg
import redis
from django.conf import settings
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

READ_SECONDS = 2
FRESH_SECONDS = 5.0

# Open holds are few and have an index; of webhooks and reconcile's runs, the newest are looked at.
_SQL = """
SELECT h.open, h.held, h.oldest, h.overdue, h.overdue_held, r.violations, r.age,
    w.processed, w.failed, w.refused, q.queued, q.running, q.waiting
FROM (
    SELECT count(*) AS open, coalesce(sum(amount), 0) AS held,
        coalesce(extract(epoch FROM clock_timestamp() - min(created)), 0) AS oldest,
        count(*) FILTER (WHERE lease_until < clock_timestamp()) AS overdue,
        coalesce(sum(amount) FILTER (WHERE lease_until < clock_timestamp()), 0) AS overdue_held
    FROM ledger_hold WHERE state = 'open'
) h
LEFT JOIN LATERAL (
    SELECT jsonb_array_length(violations) AS violations,
        extract(epoch FROM clock_timestamp() - created) AS age
    FROM ledger_reconciliation ORDER BY id DESC LIMIT 1
) r ON true
CROSS JOIN (
    SELECT count(*) FILTER (WHERE t.processed) AS processed,
        count(*) FILTER (WHERE t.valid AND t.exception <> '') AS failed,
        count(*) FILTER (WHERE NOT t.valid) AS refused
    FROM (
        SELECT valid, processed, exception, created FROM djstripe_webhookeventtrigger
        ORDER BY id DESC LIMIT 1000
    ) t
    WHERE t.created > clock_timestamp() - interval '1 hour'
) w
CROSS JOIN (
    SELECT count(*) FILTER (WHERE state = 'queued') AS queued,
        count(*) FILTER (WHERE state = 'running') AS running,
        coalesce(extract(epoch FROM clock_timestamp()
            - min(created) FILTER (WHERE state = 'queued')), 0) AS waiting
    FROM jobs_job WHERE finished IS NULL
) q
"""


class Books(Collector):
    """``collect`` may be called from several threads at once; one of them reads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: list[Metric] = []
        self._read_at = float("-inf")

    def describe(self) -> Iterable[Metric]:
        return ()  # else it would be asked as soon as it is registered

    def collect(self) -> Iterable[Metric]:
        with self._lock:
            if time.monotonic() - self._read_at >= FRESH_SECONDS:
                self._found = [*_database(), *_queue()]
                self._read_at = time.monotonic()
            return self._found


def _database() -> Iterator[Metric]:
    try:
        with psycopg.connect(
            settings.DATABASE_URL,
            connect_timeout=READ_SECONDS,
            options=f"-c statement_timeout={READ_SECONDS * 1000}",
            autocommit=True,
        ) as connection:
            row = connection.execute(_SQL).fetchone()
    except psycopg.Error:
        yield _gauge("database_up", "Whether the database answers", 0)
        return
    assert row is not None
    (
        opened,
        held,
        oldest,
        overdue,
        overdue_held,
        violations,
        age,
        *webhook,
        queued,
        running,
        wait,
    ) = row
    yield _gauge("database_up", "Whether the database answers", 1)
    yield _gauge("open_holds", "Holds that are open", opened)
    yield _gauge("held_microcredits", "What open holds reserve", held)
    yield _gauge("oldest_hold_seconds", "Age of the oldest open hold", oldest)
    yield _gauge("overdue_holds", "Open holds whose lease ran out: the sweeper's", overdue)
    yield _gauge("overdue_held_microcredits", "What these reserve", overdue_held)
    if age is not None:
        yield _gauge("reconcile_violations", "What the last reconcile found", violations)
        yield _gauge("reconcile_age_seconds", "How long ago it ran", age)
    webhooks = GaugeMetricFamily(
        "farebox_webhooks_last_hour", "Stripe's webhooks, of the newest 1,000", labels=["outcome"]
    )
    for outcome, number in zip(("processed", "failed", "refused"), webhook, strict=True):
        webhooks.add_metric([outcome], number)
    yield webhooks
    jobs = GaugeMetricFamily("farebox_jobs", "Jobs that have not ended", labels=["state"])
    jobs.add_metric(["queued"], queued)
    jobs.add_metric(["running"], running)
    yield jobs
    yield _gauge("oldest_queued_job_seconds", "Age of the oldest job that is queued", wait)


def _queue() -> Iterator[Metric]:
    client = redis.Redis.from_url(
        settings.REDIS_URL, socket_connect_timeout=READ_SECONDS, socket_timeout=READ_SECONDS
    )
    try:
        length: Any = client.llen("celery")
    except (OSError, redis.RedisError):
        yield _gauge("valkey_up", "Whether Valkey answers", 0)
    else:
        yield _gauge("valkey_up", "Whether Valkey answers", 1)
        yield _gauge("queue_length", "Background tasks that nobody has taken yet", length)
    finally:
        client.close()


def _gauge(name: str, help_text: str, value: Any) -> Metric:
    return GaugeMetricFamily(f"farebox_{name}", help_text, value=float(value))
