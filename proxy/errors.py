"""Errors in the shape of the protocol that was called (the error contract, ``docs/errors.md``)."""

from typing import Any

import orjson

from common.errors import BadInput, FareboxError, Unavailable, UpstreamError, openai_shape

_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    409: "conflict_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


# What a provider's own words on a request come after.
REFUSED = "The provider refused the request"


class Overloaded(FareboxError):
    """The provider has too much to do. Anthropic's own status for it is 529."""

    status, type, code = 503, "server_error", "unavailable"


class Unbounded(UpstreamError):
    """The provider sent more than is taken. It may charge for it."""


class Stopping(Unavailable):
    """This process ends. Another takes the next call."""

    def __init__(self, *, should_retry: bool | None = None) -> None:
        super().__init__(
            "The service is starting anew; try again.", retry_after=1, should_retry=should_retry
        )


class BodyTooSlow(BadInput):
    """The request's body did not arrive in time. What is still to come is not waited for."""

    @property
    def headers(self) -> dict[str, str]:
        return {**super().headers, "connection": "close"}


class ProviderRefused(FareboxError):
    """The provider found fault with the request itself; its words are passed on."""

    type, code = "invalid_request_error", "bad_request"

    def __init__(self, message: str, *, provider_status: int, param: str | None = None) -> None:
        super().__init__(message, param=param)
        self.status = provider_status  # type: ignore[misc]


def body(error: FareboxError, protocol: str, request_id: str) -> bytes:
    """The JSON body of an error."""
    return orjson.dumps(shape(error, protocol, request_id))


def shape(error: FareboxError, protocol: str, request_id: str) -> dict[str, Any]:
    if protocol != "anthropic":
        return openai_shape(error)
    kind = _ANTHROPIC_TYPES.get(error.status, "api_error")
    return {
        "type": "error",
        "error": {"type": kind, "message": error.message},
        "request_id": request_id,
    }


def for_the_record(error: FareboxError) -> str:
    """What log and receipt keep of an error: a provider's words may repeat what the client said."""
    return f"{REFUSED}." if error.message.startswith(REFUSED) else error.message


def status(error: FareboxError, protocol: str) -> int:
    """The status an error is answered with."""
    if protocol == "anthropic" and isinstance(error, Overloaded):
        return 529
    return error.status


def event(error: FareboxError, protocol: str, request_id: str) -> bytes:
    """An error in mid-stream, as the protocol's event. The stream is cut after it."""
    data = body(error, protocol, request_id)
    if protocol == "anthropic":
        return b"event: error\ndata: " + data + b"\n\n"
    return b"data: " + data + b"\n\n"
