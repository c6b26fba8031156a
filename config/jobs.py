"""Settings of queued jobs."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from config import env


def networks(names: list[str]) -> list[IPv4Network | IPv6Network]:
    """Networks such as ``10.1.0.0/16``."""
    try:
        return [ip_network(name) for name in names]
    except ValueError as problem:
        raise ImproperlyConfigured(f"JOB_WEBHOOK_NETWORKS: {problem}") from None


def settings() -> dict[str, Any]:
    """All of them, by name."""
    return {
        "JOB_LEASE_SECONDS": env.whole("JOB_LEASE_SECONDS", 30, least=3, most=3600),
        "JOB_ATTEMPTS": env.whole("JOB_ATTEMPTS", 5, least=1, most=100),
        "JOB_RETRY_SECONDS": env.whole("JOB_RETRY_SECONDS", 5, least=1, most=600),
        "JOB_COMPLETION_SECONDS": env.whole("JOB_COMPLETION_SECONDS", 900, least=1),
        "JOB_BATCH_SECONDS": env.whole("JOB_BATCH_SECONDS", 7200, least=1),
        "JOB_BATCH_MOST": env.whole("JOB_BATCH_MOST", 500, least=1, most=10_000),
        "JOB_BATCH_AT_ONCE": env.whole("JOB_BATCH_AT_ONCE", 8, least=1, most=1000),
        "JOBS_OPEN_MOST": env.whole("JOBS_OPEN_MOST", 1000, least=1),
        "JOBS_AT_ONCE": env.whole("JOBS_AT_ONCE", 32, least=1, most=1000),
        "JOB_DEADLINE_HOURS": env.whole("JOB_DEADLINE_HOURS", 24, least=1, most=168),
        "JOB_RETENTION_HOURS": env.whole("JOB_RETENTION_HOURS", 72, least=24),
        "JOB_INLINE_BYTES": env.whole("JOB_INLINE_BYTES", 256 * 1024, least=1024),
        "JOB_WEBHOOK_NETWORKS": networks(env.names("JOB_WEBHOOK_NETWORKS")),
    }
