"""Middleware of the Django side."""

from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse

from common import health
from common.ids import uuid7

Next = Callable[[HttpRequest], HttpResponse]


class RequestId:
    """Gives every request an id: in ``x-request-id`` of the answer, and in each line logged.

    What is private is kept out of every cache: an answer of the API, of sign-in or of somebody's
    pages that says nothing of caching is not to be stored.
    """

    PRIVATE = ("/api/", "/accounts/", "/dashboard/", "/identity/", "/_allauth/")

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.request_id = str(uuid7())  # type: ignore[attr-defined]
        with structlog.contextvars.bound_contextvars(request_id=request.request_id):  # type: ignore[attr-defined]
            response = self.get_response(request)
        response["x-request-id"] = request.request_id  # type: ignore[attr-defined]
        if request.path_info.startswith(self.PRIVATE):
            response.headers.setdefault("cache-control", "no-store")
        return response


class Health:
    """Answers ``/healthz`` and ``/readyz`` before any other middleware looks at the request.

    A load balancer asks by IP address and without HTTPS; neither the allowed hosts nor the
    redirect to HTTPS are meant for it.
    """

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        match request.path_info:
            case "/healthz":
                return health.alive(request)
            case "/readyz":
                return health.ready(request)
        return self.get_response(request)
