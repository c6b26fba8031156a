"""Pieces of the OpenAPI description that every app's views share, and the fields they name."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema_field
from rest_framework import serializers

from common.money import format_credits

CREDITS = {"type": "string", "pattern": r"^-?\d+\.\d{6}$", "example": "1.500000"}

# For ``extend_schema(auth=…)``: people who are signed in, by whatever means, and no API key.
SIGNED_IN: Any = [{"accessToken": []}, {"sessionToken": []}, {"cookieAuth": []}]

_ERRORS: dict[int, tuple[str, str, str]] = {
    400: ("invalid_request_error", "bad_request", "limit: A valid integer is required."),
    401: ("invalid_request_error", "invalid_api_key", "This API key is not valid."),
    402: (
        "insufficient_quota",
        "insufficient_credits",
        "5.000000 credits are needed and 1.500000 are available. Top up at …",
    ),
    403: ("invalid_request_error", "permission_denied", "This API key lacks the scope 'read'."),
    404: ("invalid_request_error", "not_found", "There is nothing here."),
    409: (
        "invalid_request_error",
        "already_subscribed",
        "You have a plan already; change it on the billing page, it is not bought twice.",
    ),
    412: (
        "invalid_request_error",
        "precondition_failed",
        "The backup has changed since: fetch it, merge, and send its new ETag in If-Match.",
    ),
    413: ("invalid_request_error", "request_too_large", "The request is too large."),
    415: (
        "invalid_request_error",
        "unsupported_media_type",
        "Send the bytes as they are, with 'Content-Type: application/octet-stream'.",
    ),
    422: (
        "idempotency_error",
        "key_reused",
        "This Idempotency-Key was used for something else; make a new key for a new order.",
    ),
    428: (
        "invalid_request_error",
        "precondition_required",
        "There is a backup already: send its ETag in If-Match.",
    ),
    429: (
        "rate_limit_error",
        "rate_limit_exceeded",
        "Your plan's requests a minute are used up; try again in 3 s.",
    ),
    502: ("server_error", "upstream_error", "Stripe did not accept this; nothing was paid."),
    503: ("server_error", "unavailable", "The service can't reach its database."),
}


@extend_schema_field(CREDITS)
class CreditsField(serializers.Field[int, Any, str, Any]):
    """Microcredits inside, a string of credits with six decimals outside; for reading only."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(read_only=True, **kwargs)

    def to_representation(self, value: int) -> str:
        return format_credits(value)


class ErrorDetailSerializer(serializers.Serializer[Any]):
    message = serializers.CharField(help_text="for a person")
    type = serializers.CharField()
    param = serializers.CharField(allow_null=True, help_text="the field at fault")
    code = serializers.CharField(help_text="for a program")


class ErrorSerializer(serializers.Serializer[Any]):
    error = ErrorDetailSerializer()


Said = tuple[str, str, str]  # an error's type, code and message


def errors(
    *statuses: int, said: Mapping[int, Said] | None = None
) -> dict[tuple[int, str], OpenApiResponse]:
    """The answers of ``statuses`` in the error contract's shape, for ``extend_schema``; ``said``
    where an address says something else than most."""
    answers = {}
    for status in statuses:
        kind, code, message = (said or {}).get(status) or _ERRORS[status]
        body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
        if status == 400:
            body["error"]["param"] = "limit"
        answers[status, "application/json"] = OpenApiResponse(
            ErrorSerializer, description=code, examples=[OpenApiExample(code, value=body)]
        )
    return answers


def table(serializer: Any) -> dict[tuple[int, str], Any]:
    """A 200 that is JSON of ``serializer``, or CSV on request."""
    return {
        (200, "application/json"): serializer,
        (200, "text/csv"): OpenApiResponse(OpenApiTypes.STR, description="a header, then rows"),
    }
