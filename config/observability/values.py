"""The settings of metrics, errors and traces."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from config import env

# Shorter ones can be guessed.
_TOKEN_LENGTH = 16


def settings(*, debug: bool) -> dict[str, Any]:
    """Raises ``ImproperlyConfigured``, which names the variable."""
    return {
        "METRICS_TOKEN": _token("METRICS_TOKEN", env.text("METRICS_TOKEN")),
        "PROMETHEUS_MULTIPROC_DIR": _folder(
            "PROMETHEUS_MULTIPROC_DIR", env.text("PROMETHEUS_MULTIPROC_DIR")
        ),
        "SENTRY_DSN": _dsn("SENTRY_DSN", env.text("SENTRY_DSN")),
        "SENTRY_ENVIRONMENT": env.text(
            "SENTRY_ENVIRONMENT", "development" if debug else "production"
        ),
        "SENTRY_RELEASE": env.text("SENTRY_RELEASE"),
        "OTEL_EXPORTER_OTLP_ENDPOINT": _http(
            "OTEL_EXPORTER_OTLP_ENDPOINT", env.text("OTEL_EXPORTER_OTLP_ENDPOINT")
        ),
        "OTEL_EXPORTER_OTLP_HEADERS": env.text("OTEL_EXPORTER_OTLP_HEADERS"),
        "OTEL_SERVICE_NAME": env.text("OTEL_SERVICE_NAME", "farebox"),
    }


def _token(name: str, value: str) -> str:
    if value and (len(value) < _TOKEN_LENGTH or not value.isascii()):
        raise ImproperlyConfigured(f"{name}: must have at least {_TOKEN_LENGTH} ASCII characters")
    return value


def _folder(name: str, value: str) -> str:
    if not value:
        os.environ.pop(name, None)  # to the client library an empty one would be a folder, too
    else:
        try:
            Path(value).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ImproperlyConfigured(f"{name}: {error.strerror}") from None
    return value


def _dsn(name: str, value: str) -> str:
    if value:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.username or not parts.path.strip("/"):
            raise ImproperlyConfigured(
                f"{name}: must be as Sentry shows it, https://<key>@<host>/<project>"
            )
    return value


def _http(name: str, value: str) -> str:
    if value:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ImproperlyConfigured(f"{name}: must be an http:// or https:// address")
    return value
