"""``/api/billing/top-up``: automatic top-up and the mail of a low balance.

Read with an API key, too; changed by people who are signed in alone: whoever has a leaked key must
not be able to have their card charged.
"""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.authentication import MayRead, SignedIn, user_of
from accounts.models import User
from billing import limits, topup
from billing.serializers import WholeNumber
from common.errors import BadInput
from common.money import format_credits, parse_credits
from common.openapi import SIGNED_IN, CreditsField, errors

STATES = ("off", "ready", "pending", "waiting", "needs_authentication")


@extend_schema_field({"type": "string", "example": "5"})
class CreditsText(serializers.Field[int, Any, str, Any]):
    """A string of credits such as ``"5"`` in, microcredits inside."""

    def to_internal_value(self, data: Any) -> int:
        try:
            return parse_credits(data)
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from None

    def to_representation(self, value: int) -> str:
        return format_credits(value)


@extend_schema_field({"type": "boolean"})
class Flag(serializers.Field[bool, Any, bool, Any]):
    """``true`` or ``false`` of JSON, and nothing that could be taken for them."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            raise serializers.ValidationError("must be true or false")
        return data

    def to_representation(self, value: bool) -> bool:
        return value


class TopUpWantedSerializer(serializers.Serializer[Any]):
    enabled = Flag()
    threshold = CreditsText(
        required=False, help_text="buy when less is available; needed to switch it on"
    )
    quantity = WholeNumber(required=False, help_text="whole credits to buy at a time")
    monthly_cap = WholeNumber(required=False, help_text="most credits to buy in a month (UTC)")
    low_balance_mail = Flag(
        required=False, help_text="a mail when the balance is low and top-up is off"
    )


class TopUpMonthSerializer(serializers.Serializer[Any]):
    month = serializers.CharField(help_text="such as 2026-11, UTC")
    quantity = serializers.IntegerField(help_text="credits bought by top-up")
    amount = serializers.IntegerField(help_text="paid for them, minor units, before tax")
    currency = serializers.CharField()


class TopUpSerializer(serializers.Serializer[Any]):
    enabled = serializers.BooleanField()
    threshold = CreditsField()
    quantity = serializers.IntegerField()
    monthly_cap = serializers.IntegerField()
    low_balance_mail = serializers.BooleanField()
    state = serializers.ChoiceField(
        choices=STATES,
        help_text="`waiting`: declined, the month's cap is reached, or the wallet is frozen; "
        "`needs_authentication`: the bank wants the user's approval, at `url`",
    )
    next_try_at = serializers.DateTimeField(allow_null=True)
    url = serializers.CharField(allow_null=True)
    message = serializers.CharField(allow_null=True, help_text="why it waits, or went off")
    month = TopUpMonthSerializer()


class TopUp(APIView):
    def get_permissions(self) -> list[BasePermission]:
        return [MayRead() if self.request.method in {"GET", "HEAD"} else SignedIn()]

    @extend_schema(
        operation_id="top_up",
        summary="Automatic top-up",
        responses={200: TopUpSerializer, **errors(401, 403, 429, 503)},
        tags=["billing"],
    )
    def get(self, request: Request) -> Response:
        return Response(_body(user_of(request)))

    @extend_schema(
        operation_id="put_top_up",
        auth=SIGNED_IN,
        summary="Switch automatic top-up on or off",
        description="Switched on, `quantity` credits are bought with the saved card whenever less "
        "than `threshold` is available, at most `monthly_cap` a month. It needs a saved card (409, "
        "`no_saved_card`): buy credits once, or add a card in the portal. For people who are "
        "signed in.",
        request=TopUpWantedSerializer,
        responses={200: TopUpSerializer, **errors(400, 401, 403, 409, 429, 502, 503)},
        tags=["billing"],
    )
    def put(self, request: Request) -> Response:
        wanted = TopUpWantedSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        given, user = dict(wanted.validated_data), user_of(request)
        mail = given.pop("low_balance_mail", None)
        if given.pop("enabled"):
            for name in ("threshold", "quantity", "monthly_cap"):
                if name not in given:
                    raise BadInput(f"{name}: is needed to switch this on.", param=name)
            limits.count_question(user)
            topup.switch_on(user, **given)
        else:
            topup.switch_off(user)
        if mail is not None:
            topup.want_mail(user, mail)
        return Response(_body(user))


def _body(user: User) -> dict[str, Any]:
    shown = topup.shown(user)
    return dict(
        TopUpSerializer(
            {
                "enabled": shown.row.enabled,
                "threshold": shown.row.threshold,
                "quantity": shown.row.quantity,
                "monthly_cap": shown.row.monthly_cap,
                "low_balance_mail": shown.row.low_balance_mail,
                "state": shown.state,
                "next_try_at": shown.next_try_at,
                "url": shown.url or None,
                "message": shown.message or None,
                "month": {
                    "month": f"{timezone.now():%Y-%m}",
                    "quantity": shown.month_quantity,
                    "amount": shown.month_amount,
                    "currency": shown.currency,
                },
            }
        ).data
    )
