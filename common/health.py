"""Is this process alive, and can it do its work?

``alive`` asks nothing of anybody. ``ready`` asks each dependency on a connection of its own, with
time limits, so that it answers within seconds while one of them is away or the pool is exhausted.
"""

from collections.abc import Callable
from functools import cache

import psycopg
import redis
from django.conf import settings
from django.db.migrations.loader import MigrationLoader
from django.http import HttpRequest, HttpResponse, JsonResponse

SECONDS = 2


def alive(request: HttpRequest) -> HttpResponse:
    """200 as long as the process answers at all."""
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> HttpResponse:
    """200 when every dependency answers, 503 otherwise; the body says each."""
    checks = {"database": "ok", "migrations": "ok", "valkey": "ok"}
    try:
        if missing := len(expected_migrations() - _applied_migrations()):
            checks["migrations"] = f"{missing} not applied"
    except psycopg.Error as error:
        unknown = isinstance(error, psycopg.errors.UndefinedTable)
        checks["database"] = "ok" if unknown else "unreachable"
        checks["migrations"] = "none applied" if unknown else "unknown"
    checks["valkey"] = _try(_ping_valkey)
    good = set(checks.values()) == {"ok"}
    return JsonResponse(
        {"status": "ok" if good else "unavailable", "checks": checks},
        status=200 if good else 503,
        headers={} if good else {"Retry-After": "5"},
    )


@cache
def expected_migrations() -> frozenset[tuple[str, str]]:
    """The newest migrations of every app, as files on disk say."""
    return frozenset(MigrationLoader(None).graph.leaf_nodes())


def _applied_migrations() -> set[tuple[str, str]]:
    with psycopg.connect(
        settings.DATABASE_URL,
        connect_timeout=SECONDS,
        options=f"-c statement_timeout={SECONDS * 1000}",
        autocommit=True,
    ) as connection:
        rows = connection.execute("SELECT app, name FROM django_migrations").fetchall()
    return {(app, name) for app, name in rows}


def _ping_valkey() -> None:
    client = redis.Redis.from_url(
        settings.REDIS_URL, socket_connect_timeout=SECONDS, socket_timeout=SECONDS
    )
    try:
        client.ping()
    finally:
        client.close()


def _try(check: Callable[[], None]) -> str:
    try:
        check()
    except (OSError, redis.RedisError):
        return "unreachable"
    return "ok"
