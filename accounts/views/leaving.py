"""``/api/account``: taking along what is known of oneself, and leaving."""

import tempfile
from collections.abc import AsyncIterator
from typing import IO, Any

from asgiref.sync import sync_to_async
from django.contrib.auth import logout
from django.db import connection
from django.http import FileResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import leaving, recent, serializers
from accounts.authentication import SignedIn, credential_of, user_of
from accounts.models import User
from common.errors import BadInput
from common.openapi import SIGNED_IN, errors

IN_MEMORY = 1024 * 1024  # bytes; what is larger goes to a temporary file


class Download(FileResponse):
    """A file sent piece by piece under ASGI too, where Django's own would read it whole.

    By then everything is in the file, so the pooled connection does not wait for the client.
    """

    block_size = 64 * 1024

    def __init__(self, file: IO[bytes], **options: Any) -> None:
        super().__init__(file, **options)
        self._file = file

    async def __aiter__(self) -> AsyncIterator[bytes]:
        await sync_to_async(_give_back_connection)()
        while piece := await sync_to_async(self._file.read)(self.block_size):
            yield piece


def _give_back_connection() -> None:
    if not connection.in_atomic_block:
        connection.close()


def export(user: User) -> Download:
    """The export as a download, built before its first byte is sent."""
    file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115  the response closes it
    leaving.write_export(user, file)
    file.seek(0)
    response = Download(
        file,
        as_attachment=True,
        filename=f"account-{timezone.now():%Y-%m-%d}.json",
        content_type="application/json",
    )
    response["Cache-Control"] = "private, no-store"
    return response


class Export(APIView):
    permission_classes = (SignedIn,)

    @extend_schema(
        operation_id="export_account",
        auth=SIGNED_IN,
        summary="All that is known of you, as one JSON document",
        description="A member for each kind of thing: the account, addresses, linked accounts, "
        "sessions, keys, backup, plan, wallet, transfers, calls and so on. Secrets are left out. "
        "For people who have signed in within the last ten minutes.",
        responses={200: OpenApiTypes.OBJECT, **errors(401, 403, 429, 503)},
        tags=["account"],
    )
    def get(self, request: Request) -> Download:
        recent.require_recent(credential_of(request))
        return export(user_of(request))


class Account(APIView):
    permission_classes = (SignedIn,)

    @extend_schema(
        operation_id="delete_account",
        auth=SIGNED_IN,
        summary="Delete your account, for good",
        description="Ends every sign-in, key and link, the plan and the backup, and forfeits the "
        "balance. Calls and transfers stay in the books and name nobody. For people who have "
        "signed in within the last ten minutes.",
        request=serializers.LeavingSerializer,
        responses={
            204: OpenApiResponse(description="deleted"),
            **errors(400, 401, 403, 429, 503),
        },
        tags=["account"],
    )
    def delete(self, request: Request) -> Response:
        recent.require_recent(credential_of(request))
        user = user_of(request)
        sent = serializers.LeavingSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        require_confirmed(user, sent.validated_data["confirm"])
        leaving.delete_account(user=user)
        if request.auth is None:  # a browser: its cookie has nothing behind it any more
            logout(request._request)
        return Response(status=204)


def require_confirmed(user: User, typed: str) -> None:
    """Raises ``BadInput`` unless ``typed`` is the account's address."""
    if typed.strip().lower() != user.email.lower():
        raise BadInput("confirm: type the account's e-mail address.", param="confirm")
