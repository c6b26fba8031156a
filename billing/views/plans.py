"""What is for sale."""

from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing import serializers
from billing.models import Plan
from common.openapi import errors


class PlanList(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(
        operation_id="plans",
        summary="The plans that are for sale",
        description="Open to everybody; no key is needed.",
        responses={200: serializers.PlansSerializer, **errors(429, 503)},
        tags=["plans"],
    )
    def get(self, request: Request) -> Response:
        plans = Plan.objects.filter(for_sale=True)
        return Response({"results": serializers.PlanSerializer(plans, many=True).data})
