"""Middleware of the Django side."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from common.ids import uuid7


class RequestId:
    """Gives every request an id, which the answer carries in ``x-request-id``."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.request_id = str(uuid7())  # type: ignore[attr-defined]
        response = self.get_response(request)
        response["x-request-id"] = request.request_id  # type: ignore[attr-defined]
        return response
