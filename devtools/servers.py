"""Bringing up the servers that the user has not replaced by their own, and the fake Stripe."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from devtools.embedded import DURABLE, Postgres, Valkey
from devtools.environment import given
from devtools.fake_stripe import FakeStripe, wanted
from devtools.supervise import Supervisor

DATABASE = "farebox"
SERVERS = (["stripe", "valkey"], ["postgres"])  # in the order of their end
# A server that was killed reads its log again before it answers.
RECOVERY_SECONDS = 120


def start_servers(
    environ: Mapping[str, str],
    home: Path,
    supervisor: Supervisor,
    say: Callable[[str], None],
    settings: Mapping[str, str] = DURABLE,
) -> tuple[dict[str, str], bool]:
    """Start what DATABASE_URL and REDIS_URL do not name, and what STRIPE_FAKE asks for.

    Returns these two variables where they were missing, the fake's STRIPE_API_HOST, and whether
    the database was made just now. Returns when all servers answer.
    """
    if os.geteuid() == 0:
        home.chmod(home.stat().st_mode & 0o7777 | 0o001)  # the servers' user passes through
    env: dict[str, str] = {}
    made = False
    postgres = None if given(environ, "DATABASE_URL") else Postgres(home, say, settings)
    valkey = None if given(environ, "REDIS_URL") else Valkey(home, say)
    stripe = FakeStripe(environ, home) if wanted(environ) else None
    if postgres:
        supervisor.start(postgres.prepare())
    if stripe:
        supervisor.start(stripe.prepare())
    if valkey:
        supervisor.start(valkey.prepare())
        supervisor.wait(valkey.is_ready, 30, "Valkey")
        env["REDIS_URL"] = valkey.url
    if postgres:
        supervisor.wait(postgres.is_ready, RECOVERY_SECONDS, "PostgreSQL")
        made = postgres.create_database(DATABASE)
        env["DATABASE_URL"] = postgres.url(DATABASE)
    if stripe:
        supervisor.wait(stripe.is_ready, 30, "the fake Stripe")
        env["STRIPE_API_HOST"] = stripe.url
    return env, made
