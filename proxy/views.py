"""The proxy's one address that Django answers."""

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.authentication import user_of
from accounts.models import ApiKey
from common.openapi import errors
from proxy.quote import quote
from proxy.routes import PAID
from proxy.serializers import QuotedRequestSerializer, QuoteSerializer


class QuoteView(APIView):
    @extend_schema(
        operation_id="quote",
        summary="What a request would hold now, and cost at most",
        description="Takes the body that would be sent to a paid address, and says in `path` which "
        "one: `/v1/chat/completions`, `/v1/responses`, `/v1/embeddings`, `/v1/messages` or "
        "`/ai-proxy`. Without `path` it is a chat completion or a message, whichever the model "
        "answers to. Nothing is sent, held or counted.",
        parameters=[
            OpenApiParameter("path", enum=list(PAID), description="the address it is meant for")
        ],
        request=QuotedRequestSerializer,
        responses={200: QuoteSerializer, **errors(400, 401, 403, 404, 413, 429, 503)},
        tags=["usage"],
    )
    def post(self, request: Request) -> Response:
        key = request.auth if isinstance(request.auth, ApiKey) else None
        found = quote(
            user=user_of(request),
            key=key,
            raw=request.body,
            path=request.query_params.get("path", ""),
        )
        return Response(QuoteSerializer(found).data)
