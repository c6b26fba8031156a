"""``/api/keys``: a user's own API keys."""

import uuid
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import notices, serializers, staff, verbs
from accounts.authentication import MayRead, SignedIn, user_of
from common.errors import NotFound
from common.openapi import SIGNED_IN, errors


class KeyList(APIView):
    def get_permissions(self) -> list[BasePermission]:
        return [SignedIn() if self.request.method == "POST" else MayRead()]

    @extend_schema(
        operation_id="keys",
        summary="Your API keys, newest first",
        description="Revoked keys are left out; expired ones stay listed until they are revoked.",
        responses={200: serializers.KeysSerializer, **errors(401, 403, 429, 503)},
        tags=["account"],
    )
    def get(self, request: Request) -> Response:
        keys = verbs.keys_of(user_of(request))
        return Response(serializers.KeysSerializer({"results": keys}).data)

    @extend_schema(
        operation_id="create_key",
        auth=SIGNED_IN,
        summary="Make an API key",
        description="The answer is the only place where the key itself is told. For people who "
        "are signed in; an API key can't make another. Its owner is told by mail.",
        request=serializers.NewKeySerializer,
        responses={201: serializers.IssuedKeySerializer, **errors(400, 401, 403, 429, 503)},
        tags=["account"],
    )
    def post(self, request: Request) -> Response:
        wanted = serializers.NewKeySerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        options: dict[str, Any] = wanted.validated_data
        user = user_of(request)
        staff.require_factor(user, options.get("scopes"))
        issued = verbs.issue_key(user=user, **options)
        notices.key_made(issued.key)
        issued.key.api_key = issued.secret  # type: ignore[attr-defined]
        return Response(serializers.IssuedKeySerializer(issued.key).data, status=201)


class KeyDetail(APIView):
    permission_classes = (SignedIn,)

    @extend_schema(
        operation_id="revoke_key",
        auth=SIGNED_IN,
        summary="Revoke an API key",
        description="It stops working at once and for good. For people who are signed in.",
        responses={204: None, **errors(401, 403, 404, 429, 503)},
        tags=["account"],
    )
    def delete(self, request: Request, key_id: uuid.UUID) -> Response:
        key = verbs.keys_of(user_of(request)).filter(pk=key_id).first()
        if key is None or not verbs.revoke_key(key=key):
            raise NotFound("You have no such key.")
        return Response(status=204)
