"""``/api/ws-ticket``: the way from a credential to the account's socket."""

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import tickets
from accounts.authentication import credential_of
from common.openapi import errors


class TicketSerializer(serializers.Serializer[Any]):
    """``url`` is where to open the socket, the ticket included; it works once."""

    ticket = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="seconds")
    url = serializers.CharField(help_text="wss://…/ws/account?ticket=…")


class WsTicket(APIView):
    @extend_schema(
        operation_id="ws_ticket",
        summary="A ticket that opens the account's WebSocket, once",
        description="Open `url` within `expires_in` seconds. The socket lives as long as the "
        "credential does that this is asked with. See docs/socket.md for what it sends.",
        request=None,
        responses={201: TicketSerializer, **errors(401, 403, 429, 503)},
        tags=["account"],
    )
    def post(self, request: Request) -> Response:
        ticket = tickets.make(credential_of(request))
        base = settings.PUBLIC_URL.replace("http", "ws", 1)
        body = {
            "ticket": ticket,
            "expires_in": tickets.SECONDS,
            "url": f"{base}/ws/account?ticket={ticket}",
        }
        return Response(TicketSerializer(body).data, status=201)
