"""``GET /metrics``, for Prometheus. Never public: it tells what is earned.

With ``METRICS_TOKEN`` it is answered to ``Authorization: Bearer <token>``. Without, there is no
such address, but for callers on the machine itself while ``DEBUG`` is on.
"""

import secrets
from collections.abc import Callable
from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from common import errors, metrics
from common.drf import answer
from config.observability.books import Books

Next = Callable[[HttpRequest], HttpResponse]

PATH = "/metrics"
_books = Books()


class Metrics:
    """Answers before hosts are checked and HTTPS is insisted on: Prometheus asks each process by
    its IP address."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info != PATH or not is_there_for(request):
            return self.get_response(request)
        if request.method not in {"GET", "HEAD"}:
            return answer(errors.MethodRefused("This address takes GET only.", allow="GET, HEAD"))
        if settings.METRICS_TOKEN and not _has_token(request):
            return answer(errors.NotAuthenticated("Send METRICS_TOKEN as a bearer token."))
        if metrics.is_partial():
            message = "Set PROMETHEUS_MULTIPROC_DIR: this process knows its own share only."
            return answer(errors.Unavailable(message))
        body = metrics.render([_books])
        return HttpResponse(
            body, content_type=metrics.CONTENT_TYPE, headers={"cache-control": "no-store"}
        )


def is_there_for(request: HttpRequest) -> bool:
    """Whether there is such an address for this caller at all."""
    if settings.METRICS_TOKEN:
        return True
    forwarded = any(name in request.META for name in ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED"))
    return settings.DEBUG and not forwarded and _is_loopback(request.META.get("REMOTE_ADDR", ""))


def _has_token(request: HttpRequest) -> bool:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    given, wanted = token.strip().encode(), settings.METRICS_TOKEN.encode()
    return secrets.compare_digest(given, wanted) and kind.lower() == "bearer"


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
