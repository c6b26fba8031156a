"""Settings of queued jobs."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from config import env

_FOLDER = "django.core.files.storage.FileSystemStorage"
_BUCKET = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([\w!.*'()/-]*))?", re.ASCII)


def networks(names: list[str]) -> list[IPv4Network | IPv6Network]:
    """Networks such as ``10.1.0.0/16``."""
    try:
        return [ip_network(name) for name in names]
    except ValueError as problem:
        raise ImproperlyConfigured(f"JOB_WEBHOOK_NETWORKS: {problem}") from None


def storage(folder: str) -> dict[str, Any]:
    """Where large results are, as Django's ``STORAGES`` has it: a folder, by default this one, or a
    bucket of an S3-compatible storage. No message repeats a value: some are secrets."""
    place = env.text("JOB_FILES", folder)
    endpoint = env.url("JOB_FILES_ENDPOINT")
    region = env.text("JOB_FILES_REGION")
    key, secret = env.text("JOB_FILES_KEY_ID"), env.text("JOB_FILES_SECRET")
    if "://" not in place:
        given = {
            "JOB_FILES_ENDPOINT": endpoint,
            "JOB_FILES_REGION": region,
            "JOB_FILES_KEY_ID": key,
            "JOB_FILES_SECRET": secret,
        }
        for name in (name for name, value in given.items() if value):
            raise ImproperlyConfigured(f"{name}: is set, but JOB_FILES names no bucket")
        return {"BACKEND": _FOLDER, "OPTIONS": {"location": place}}
    named = _BUCKET.fullmatch(place)
    if named is None or ".." in place:
        raise ImproperlyConfigured(
            "JOB_FILES: must be a folder, or s3://bucket or s3://bucket/folder; the key has "
            "settings of its own, JOB_FILES_KEY_ID and JOB_FILES_SECRET"
        )
    if bool(key) != bool(secret):
        missing = "JOB_FILES_SECRET" if key else "JOB_FILES_KEY_ID"
        raise ImproperlyConfigured(f"{missing}: is not set, but the other half of the key is")
    options = {
        "bucket_name": named[1],
        "location": (named[2] or "").strip("/"),
        "region_name": region or "us-east-1",
        "endpoint_url": endpoint or None,
        "access_key": key or None,
        "secret_key": secret or None,
    }
    return {"BACKEND": "jobs.s3.Bucket", "OPTIONS": options}


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
        "JOB_AUDIO_BYTES": env.whole("JOB_AUDIO_BYTES", 25 * 1024 * 1024, least=1024),
        "JOB_WEBHOOK_NETWORKS": networks(env.names("JOB_WEBHOOK_NETWORKS")),
    }
