"""Errors to Sentry: every line that is logged as an error, with its stack.

There is one way in, the log, for web, worker and beat alike; none of the SDK's integrations looks
into requests, queries or arguments. What leaves is an allow-list: the kind of exception and the
first line of its message, scrubbed as logs are; frames without variables; ids. No request, header,
body, query, cookie, argument, breadcrumb or user.
"""

from collections.abc import Mapping
from typing import Any

import sentry_sdk
from django.conf import settings
from sentry_sdk.integrations import Integration
from sentry_sdk.integrations.atexit import AtexitIntegration
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.integrations.excepthook import ExcepthookIntegration
from sentry_sdk.integrations.threading import ThreadingIntegration
from sentry_sdk.types import Event, Hint
from sentry_sdk.utils import event_from_exception

from common import logging

_KEPT = {
    "environment", "event_id", "exception", "level", "logger", "message", "platform", "release",
    "sdk", "server_name", "tags", "timestamp", "transaction",
}  # fmt: skip
_TAGS = ("call", "error", "model", "provider", "request_id", "route", "status", "user", "work")
_LONGEST = 300
# What the SDK says of itself would go round in circles; a page's error that came without an
# exception was told already, and this line would tell its address.
_UNTOLD = ("sentry_sdk", "urllib3", "django.request")


def start() -> None:
    """Send errors to ``SENTRY_DSN`` from now on."""
    if sentry_sdk.is_initialized():
        return
    integrations: list[Integration] = [
        AtexitIntegration(callback=lambda *_: None),  # it would talk on standard error
        DedupeIntegration(),
        ExcepthookIntegration(),
        ThreadingIntegration(propagate_scope=False),
    ]
    sentry_sdk.init(
        dsn=settings.SENTRY_DSN,
        environment=settings.SENTRY_ENVIRONMENT,
        release=settings.SENTRY_RELEASE or None,
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=integrations,
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        auto_session_tracking=False,
        send_client_reports=False,
        before_send=_only_what_may_leave,
    )
    logging.report_to(_report)


def _report(line: Mapping[str, Any]) -> None:
    """A line of the log, before it is put into words."""
    error = logging.exception_of(line)
    hint: dict[str, Any] = {}
    event: dict[str, Any] = {}
    if error is not None:
        event, hint = event_from_exception(  # type: ignore[assignment]
            error, client_options=sentry_sdk.get_client().options
        )
    elif line.get("logger", "").startswith(_UNTOLD):
        return
    else:
        event["message"] = _brief(str(line.get("event", "")))
    event["level"] = "fatal" if line.get("level") == "critical" else "error"
    event["logger"] = str(line.get("logger", ""))
    event["tags"] = {name: _brief(str(line[name])) for name in _TAGS if line.get(name) is not None}
    if place := _place(line):
        event["transaction"] = place
    sentry_sdk.capture_event(event, hint)  # type: ignore[arg-type]


def _place(line: Mapping[str, Any]) -> str:
    """Where it happened: a view by its route, a task by its name, else the line's own words."""
    record = line.get("_record")
    match = getattr(getattr(record, "request", None), "resolver_match", None)
    if match is not None:
        return str(match.route)
    data = getattr(record, "data", None)
    if isinstance(data, dict) and "name" in data:
        return str(data["name"])
    return "" if record is not None else str(line.get("event", ""))


def _only_what_may_leave(event: Event, _hint: Hint) -> Event:
    kept: Any = {name: value for name, value in event.items() if name in _KEPT}
    for exception in kept.get("exception", {}).get("values", ()):
        exception["value"] = _brief(str(exception.get("value") or ""))
        exception.pop("raw_value", None)
        for frame in (exception.get("stacktrace") or {}).get("frames", ()):
            frame.pop("vars", None)
    return kept


def _brief(text: str) -> str:
    """The first line, scrubbed: what databases add below it are values."""
    return logging.scrub(text.partition("\n")[0])[:_LONGEST]
