"""``POST /api/credits/{hold,capture,release,spend,refund}``, for service keys."""

from datetime import timedelta
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from accounts.authentication import ApiKeyAuthentication, MayMoveCredits, SignInAuthentication
from accounts.limits import ServiceThrottle
from accounts.models import ApiKey
from common.errors import BadInput
from common.openapi import errors
from usage import idempotency
from usage.credits import moves, serializers
from usage.credits.moves import Asked

SERVICE_KEY: Any = [{"bearerKey": []}, {"headerKey": []}]
PARAMETERS = [
    OpenApiParameter(
        name="Idempotency-Key",
        location=OpenApiParameter.HEADER,
        required=True,
        description="Made of what is paid for, such as an order's id. The same key and body answer "
        "the same again and move nothing more; another body is refused (422). A refusal is not "
        "kept: what was refused may be asked again with its key.",
    )
]
SAID: Any = {
    403: ("invalid_request_error", "permission_denied", "This API key lacks the scope 'credits'."),
    404: ("invalid_request_error", "not_found", "There is no such account."),
    409: ("idempotency_error", "completed", "The hold was released already."),
    415: (
        "invalid_request_error",
        "unsupported_media_type",
        "Send JSON, with 'Content-Type: application/json'.",
    ),
    422: (
        "idempotency_error",
        "key_reused",
        "This Idempotency-Key was used for another request; use a new key for each.",
    ),
}
RETURNING = errors(400, 401, 403, 404, 413, 415, 422, 429, 503, said=SAID)
TAKING = RETURNING | errors(402)
ENDING = RETURNING | errors(409, said=SAID)


class CreditsView(APIView):
    """One verb. A browser's cookie is no way in."""

    authentication_classes = (ApiKeyAuthentication, SignInAuthentication)
    permission_classes = (MayMoveCredits,)
    throttle_classes = (ServiceThrottle,)


def read(body: type[Serializer[Any]], request: Request) -> tuple[Asked, dict[str, Any]]:
    """Who asks with which key, and for what. Raises ``BadInput`` and ``ValidationError``."""
    assert isinstance(request.auth, ApiKey), "the view's permissions let nobody else in"
    header = request.headers.get("idempotency-key")
    key = idempotency.read(None if header is None else header.encode(), request.path, b"")
    if key is None:
        raise BadInput(
            "Idempotency-Key: is required; make it of what is paid for, such as an order's id.",
            param="Idempotency-Key",
        )
    given = body(data=request.data)
    given.is_valid(raise_exception=True)
    return Asked(request.auth, key.key), given.validated_data


class Hold(CreditsView):
    @extend_schema(
        operation_id="hold_credits",
        auth=SERVICE_KEY,
        parameters=PARAMETERS,
        summary="Reserve credits of a user's",
        description="For work that may fail or cost less. Capture it or release it; what nobody "
        "ends is released when `expires_in` seconds are over.",
        request=serializers.HoldSerializer,
        responses={200: serializers.HeldSerializer, **TAKING},
        tags=["credits"],
    )
    def post(self, request: Request) -> Response:
        asked, given = read(serializers.HoldSerializer, request)
        lease = timedelta(seconds=given.pop("expires_in"))
        return Response(serializers.HeldSerializer(moves.hold(asked, lease=lease, **given)).data)


class Capture(CreditsView):
    @extend_schema(
        operation_id="capture_credits",
        auth=SERVICE_KEY,
        parameters=PARAMETERS,
        summary="Take what a hold reserved, or a part of it",
        description="The hold ends, and what is not taken returns.",
        request=serializers.CaptureSerializer,
        responses={200: serializers.MovedSerializer, **ENDING},
        tags=["credits"],
    )
    def post(self, request: Request) -> Response:
        asked, given = read(serializers.CaptureSerializer, request)
        return Response(serializers.MovedSerializer(moves.capture(asked, **given)).data)


class Release(CreditsView):
    @extend_schema(
        operation_id="release_credits",
        auth=SERVICE_KEY,
        parameters=PARAMETERS,
        summary="Give a hold back whole",
        request=serializers.ReleaseSerializer,
        responses={200: serializers.HeldSerializer, **ENDING},
        tags=["credits"],
    )
    def post(self, request: Request) -> Response:
        asked, given = read(serializers.ReleaseSerializer, request)
        return Response(serializers.HeldSerializer(moves.release(asked, **given)).data)


class Spend(CreditsView):
    @extend_schema(
        operation_id="spend_credits",
        auth=SERVICE_KEY,
        parameters=PARAMETERS,
        summary="Take credits of a user's",
        description="All of the amount, or nothing.",
        request=serializers.SpendSerializer,
        responses={200: serializers.MovedSerializer, **TAKING},
        tags=["credits"],
    )
    def post(self, request: Request) -> Response:
        asked, given = read(serializers.SpendSerializer, request)
        return Response(serializers.MovedSerializer(moves.spend(asked, **given)).data)


class Refund(CreditsView):
    @extend_schema(
        operation_id="refund_credits",
        auth=SERVICE_KEY,
        parameters=PARAMETERS,
        summary="Give credits back that were taken",
        description="Of a capture or a spend, in one part or several. The answer's `transfer` is "
        "the refund's own.",
        request=serializers.RefundSerializer,
        responses={200: serializers.MovedSerializer, **RETURNING},
        tags=["credits"],
    )
    def post(self, request: Request) -> Response:
        asked, given = read(serializers.RefundSerializer, request)
        return Response(serializers.MovedSerializer(moves.refund(asked, **given)).data)
