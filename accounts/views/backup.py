"""``/api/backup``: one blob that the client encrypts."""

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import backups
from accounts.authentication import MayRead, SignedIn, user_of
from accounts.backups import MOST_BYTES, Precondition
from common.drf import MediaTypeRefused
from common.errors import BadInput, TooLarge
from common.openapi import SIGNED_IN, errors

BINARY = "application/octet-stream"
TOO_LARGE = f"A backup has at most {MOST_BYTES // 1024} KiB ({MOST_BYTES} bytes)."


def _header(name: str, description: str) -> OpenApiParameter:
    return OpenApiParameter(name, str, OpenApiParameter.HEADER, description=description)


IF_MATCH = _header("If-Match", "the ETag of the backup that this is about; `*` for whichever")
IF_NONE_MATCH = _header("If-None-Match", "`*`: only if there is no backup yet")
KNOWN = _header("If-None-Match", "an ETag: answer 304 if it is still that backup's")
ETAG = OpenApiParameter(
    "ETag",
    str,
    OpenApiParameter.HEADER,
    response=[200, 201, 204, 304],
    description="names this version of the backup",
)


class Backup(APIView):
    def get_permissions(self) -> list[BasePermission]:
        return [MayRead() if self.request.method in {"GET", "HEAD"} else SignedIn()]

    @extend_schema(
        operation_id="backup",
        summary="Fetch the encrypted backup of a client's settings",
        parameters=[KNOWN, ETAG],
        responses={
            (200, BINARY): OpenApiTypes.BINARY,
            304: OpenApiResponse(description="unchanged"),
            **errors(400, 401, 403, 404, 429, 503),
        },
        tags=["backup"],
    )
    def get(self, request: Request) -> HttpResponse:
        user = user_of(request)
        condition = Precondition.read(None, request.headers.get("if-none-match"))
        there = backups.version_of(user)
        if there is not None and condition.names(backups.etag(there)):
            return _answer(HttpResponse(status=304), there)
        backup = backups.get(user=user)
        return _answer(HttpResponse(bytes(backup.blob), content_type=BINARY), backup.version)

    @extend_schema(
        operation_id="put_backup",
        auth=SIGNED_IN,
        summary="Store the encrypted backup, whole",
        description=f"At most {MOST_BYTES} bytes, which Farebox can't read. Send `If-None-Match: *`"
        " the first time and `If-Match` with the ETag later; without either, an existing backup is "
        "not replaced (428), so that nothing is lost unnoticed. For people who are signed in.",
        parameters=[IF_MATCH, IF_NONE_MATCH, ETAG],
        request={BINARY: OpenApiTypes.BINARY},
        responses={
            201: OpenApiResponse(description="stored, the first"),
            204: OpenApiResponse(description="stored, in place of another"),
            **errors(400, 401, 403, 412, 413, 415, 428, 429, 503),
        },
        tags=["backup"],
    )
    def put(self, request: Request) -> HttpResponse:
        condition = _condition(request)
        version, first = backups.put(
            user=user_of(request), blob=_blob(request), condition=condition
        )
        return _answer(Response(status=201 if first else 204), version)

    @extend_schema(
        operation_id="delete_backup",
        auth=SIGNED_IN,
        summary="Delete the backup",
        description="For people who are signed in.",
        parameters=[IF_MATCH],
        responses={204: None, **errors(400, 401, 403, 404, 412, 428, 429, 503)},
        tags=["backup"],
    )
    def delete(self, request: Request) -> Response:
        backups.delete(user=user_of(request), condition=_condition(request))
        return Response(status=204)


def _condition(request: Request) -> Precondition:
    return Precondition.read(request.headers.get("if-match"), request.headers.get("if-none-match"))


def _blob(request: Request) -> bytes:
    """The body, read no further than it may go. Raises ``BadInput`` and ``TooLarge``."""
    if request.content_type and request.content_type.split(";")[0].strip().lower() != BINARY:
        raise MediaTypeRefused(f"Send the bytes as they are, with 'Content-Type: {BINARY}'.")
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length) > MOST_BYTES:
        raise TooLarge(TOO_LARGE)
    blob = request._request.read(MOST_BYTES + 1)
    if len(blob) > MOST_BYTES:  # sent in chunks, whose sum nobody said before
        raise TooLarge(TOO_LARGE)
    if not blob:
        raise BadInput("The body is empty; send the backup's bytes, or DELETE it.")
    return blob


def _answer(response: HttpResponse, version: int) -> HttpResponse:
    response["ETag"] = backups.etag(version)
    response["Cache-Control"] = "private, no-store"
    return response
