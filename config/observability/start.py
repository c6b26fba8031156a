"""Errors to Sentry and traces to OpenTelemetry, where the settings ask for them.

Each program calls ``start`` once, before Django's handler is made. What is not asked for is not
even imported.
"""

import os
from importlib import import_module

from django.conf import settings


def start() -> None:
    """Safe to call again in the same process."""
    if settings.SENTRY_DSN:
        import_module("config.observability.sentry").start()
    if settings.OTEL_EXPORTER_OTLP_ENDPOINT:
        import_module("config.observability.tracing").start()


def count_tasks() -> None:
    """For the worker: its tasks are counted where web processes can tell of them."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        import_module("config.observability.tasks")
