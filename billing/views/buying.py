"""Buying, and managing what was bought: every POST answers an address to lead the person to.

A page of Checkout may be opened with an API key, too, if it has the scope ``read``: whoever pays
there pays for the key's owner. The portal opens for people who are signed in alone: it shows
invoices and addresses and ends the plan, and a leaked key must not get there, nor by asking for a
plan that is there already.
"""

import re
from typing import Any

from drf_spectacular.utils import OpenApiParameter, PolymorphicProxySerializer, extend_schema
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import AllowAny, BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.authentication import MayRead, SignedIn, user_of
from accounts.models import ApiKey
from billing import checkout, limits, portal, pricing, serializers
from billing.errors import AlreadySubscribed
from common.errors import BadInput
from common.openapi import SIGNED_IN, errors
from common.tables import read_query

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
KEY_PARAMETER = OpenApiParameter(
    name="Idempotency-Key",
    location=OpenApiParameter.HEADER,
    description="The same key and body answer the same page again.",
)
OPEN: Any = [{}]  # in a description: nobody needs to say who they are
PRICES_OR_QUOTE = PolymorphicProxySerializer(
    component_name="CreditPricesOrQuote",
    serializers=[serializers.CreditPricesSerializer, serializers.CreditQuoteSerializer],
    resource_type_field_name=None,
)
BUYING = errors(400, 401, 403, 422, 429, 502, 503)


def idempotency_key(request: Request) -> str:
    """The caller's Idempotency-Key, empty without one. Raises ``BadInput``."""
    key = request.headers.get("idempotency-key", "")
    if key and not _KEY.fullmatch(key):
        raise BadInput(
            "Idempotency-Key: use 1 to 255 visible ASCII characters, such as a UUID.",
            param="Idempotency-Key",
        )
    return key


def page(url: str) -> Response:
    return Response({"url": url})


class Checkout(APIView):
    @extend_schema(
        operation_id="checkout",
        summary="Subscribe to a plan",
        description="Answers the address of the page where it is paid. Somebody who has a plan "
        "already is sent to the portal, where it is changed; with an API key that is refused "
        "(409).",
        parameters=[KEY_PARAMETER],
        request=serializers.CheckoutSerializer,
        responses={200: serializers.UrlSerializer, **BUYING, **errors(409)},
        tags=["billing"],
    )
    def post(self, request: Request) -> Response:
        wanted = serializers.CheckoutSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        user, key = user_of(request), idempotency_key(request)
        plan = checkout.plan_named(wanted.validated_data["plan"])
        limits.count_question(user)
        try:
            return page(checkout.open_plan(user, plan, key).url)
        except AlreadySubscribed:
            if isinstance(request.auth, ApiKey):
                raise
        return page(portal.open_portal(user))


class Credits(APIView):
    def get_authenticators(self) -> list[BaseAuthentication]:
        """Prices are everybody's: a wrong key is no hindrance."""
        asked = getattr(self, "request", None)  # none while the description is made
        return [] if asked is not None and asked.method == "GET" else super().get_authenticators()

    def get_permissions(self) -> list[BasePermission]:
        return [MayRead() if self.request.method == "POST" else AllowAny()]

    @extend_schema(
        operation_id="credit_prices",
        auth=OPEN,
        summary="What credits cost",
        description="Open to everybody. With `?quantity=` the answer is the price of that many: "
        '`{"quantity", "amount", "currency"}`.',
        parameters=[serializers.CreditsQuery],
        responses={200: PRICES_OR_QUOTE, **errors(400, 429, 503)},
        tags=["billing"],
    )
    def get(self, request: Request) -> Response:
        query = read_query(serializers.CreditsQuery, request)
        if "quantity" in query:
            return Response(
                serializers.CreditQuoteSerializer(pricing.quote(query["quantity"])).data
            )
        offered = pricing.price_list()
        shown: dict[str, Any] = {
            "least": offered.least,
            "most": offered.most,
            "currency": offered.currency,
            "tiers": [{"from": tier.start, "price": str(tier.each)} for tier in offered.tiers],
        }
        return Response(shown)

    @extend_schema(
        operation_id="buy_credits",
        summary="Buy credits",
        description="Answers the address of the page where they are paid. The price is the "
        "server's, see `GET`.",
        parameters=[KEY_PARAMETER],
        request=serializers.CreditsOrderSerializer,
        responses={200: serializers.UrlSerializer, **BUYING},
        tags=["billing"],
    )
    def post(self, request: Request) -> Response:
        wanted = serializers.CreditsOrderSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        user, key = user_of(request), idempotency_key(request)
        limits.count_question(user)
        return page(checkout.open_credits(user, wanted.validated_data["quantity"], key).url)


class Portal(APIView):
    permission_classes = (SignedIn,)

    @extend_schema(
        operation_id="portal",
        auth=SIGNED_IN,
        summary="Manage plan, cards and invoices",
        description="Answers the address of the customer portal, good for a few minutes and for "
        "whoever has it. For people who are signed in.",
        request=None,
        responses={200: serializers.UrlSerializer, **errors(401, 403, 429, 502, 503)},
        tags=["billing"],
    )
    def post(self, request: Request) -> Response:
        user = user_of(request)
        limits.count_question(user)
        return page(portal.open_portal(user))
