"""The bodies that ``/api/credits`` takes, and its answers."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from accounts.serializers import CreditsInputField, printable
from usage.serializers import BalanceSerializer

REASON_LENGTH = 200
LEASE_SECONDS = 900
LEASE_LEAST, LEASE_MOST = 10, 86_400
_LARGEST_ID = 2**63 - 1
_HOLD_ID = "5f0c4b8e-2f57-4b0e-9d0e-6a2f1c7e9b10"
_BALANCE = {"available": "15.000000", "held": "0.000000", "posted": "15.000000"}


@extend_schema_field(
    {"oneOf": [{"type": "string", "maxLength": 254}, {"type": "integer"}], "example": "ada@x.org"}
)
class AccountField(serializers.Field[Any, Any, Any, Any]):
    """A user by e-mail address (a string), or by id: a number, or a string of digits, as the
    ``sub`` of a sign-in is one."""

    def to_internal_value(self, data: Any) -> int | str:
        if isinstance(data, str):
            data = data.strip()
            if data.isascii() and data.isdigit() and len(data) < 19:
                data = int(data)
            elif "@" in data and len(data) <= 254 and data.isprintable():
                return data.lower()
        if isinstance(data, int) and not isinstance(data, bool) and 0 < data <= _LARGEST_ID:
            return data
        raise serializers.ValidationError("Name a user by e-mail address or id.")


class AmountField(CreditsInputField):
    """What is moved: above zero."""

    def to_internal_value(self, data: Any) -> int:
        amount = super().to_internal_value(data)
        if not amount:
            raise serializers.ValidationError("must be above zero.")
        return amount


class ReasonField(serializers.CharField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=REASON_LENGTH, validators=[printable], **kwargs)


class SpendSerializer(serializers.Serializer[Any]):
    account = AccountField(help_text="the user: e-mail address or id")
    amount = AmountField(help_text="credits, as a string")
    reason = ReasonField(help_text="what it is for, in words that the user reads; it stays")


class HoldSerializer(SpendSerializer):
    expires_in = serializers.IntegerField(
        default=LEASE_SECONDS,
        min_value=LEASE_LEAST,
        max_value=LEASE_MOST,
        help_text="seconds after which the hold is released, if nobody has ended it",
    )


class ReleaseSerializer(serializers.Serializer[Any]):
    hold = serializers.UUIDField(help_text="a hold of this service key's")


class CaptureSerializer(ReleaseSerializer):
    amount = AmountField(help_text="credits, at most what is held; the rest returns")
    reason = ReasonField(required=False, help_text="without it, the hold's")


class RefundSerializer(serializers.Serializer[Any]):
    transfer = serializers.IntegerField(
        min_value=1,
        max_value=_LARGEST_ID,
        help_text="what a spend or a capture of this service key's answered",
    )
    amount = AmountField(help_text="credits, with earlier refunds at most what was taken")
    reason = ReasonField(required=False, help_text="without it, that of what is refunded")


@extend_schema_serializer(
    examples=[OpenApiExample("a hold", value={"hold": _HOLD_ID, "balance": _BALANCE})]
)
class HeldSerializer(serializers.Serializer[Any]):
    """``balance`` is the user's, as the call left it."""

    hold = serializers.UUIDField()
    balance = BalanceSerializer()


@extend_schema_serializer(
    examples=[OpenApiExample("a transfer", value={"transfer": 4711, "balance": _BALANCE})]
)
class MovedSerializer(serializers.Serializer[Any]):
    """``balance`` is the user's, as the call left it."""

    transfer = serializers.IntegerField()
    balance = BalanceSerializer()
