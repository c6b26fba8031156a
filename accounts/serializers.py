"""The shapes that the account's views answer, and the bodies they take."""

from datetime import datetime
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from accounts.models import ApiKey
from accounts.verbs import KEYS_A_USER, SCOPES
from common.money import format_credits, parse_credits
from common.openapi import CreditsField

KEY_ID = "019aa3d0-7f2e-7c11-9b1e-3f6d1c0a2b44"
KEY = {
    "id": KEY_ID,
    "name": "laptop",
    "prefix": "fb_4fT9xQ",
    "scopes": ["ai", "read"],
    "monthly_cap": "5.000000",
    "created_at": "2026-11-20T09:30:00.125000Z",
    "expires_at": None,
    "last_used_at": None,
}


@extend_schema_field({"type": "string", "pattern": r"^\d{1,12}(\.\d{1,6})?$", "example": "5"})
class CreditsInputField(serializers.Field[int, Any, str, Any]):
    """A string of credits such as ``"5"``; whole microcredits inside."""

    def to_internal_value(self, data: Any) -> int:
        try:
            return parse_credits(data)
        except ValueError as error:
            raise serializers.ValidationError(f"{error}.") from None

    def to_representation(self, value: int) -> str:
        return format_credits(value)


def printable(text: str) -> None:
    """Refuses control characters and halves of surrogate pairs, which nobody can read."""
    if not text.isprintable():
        raise serializers.ValidationError("Use printable characters only.")


def ahead(moment: datetime) -> None:
    """Refuses a moment that has come already."""
    if moment <= timezone.now():
        raise serializers.ValidationError("This moment has passed already.")


class NewKeySerializer(serializers.Serializer[Any]):
    name = serializers.CharField(min_length=1, max_length=100, validators=[printable])
    scopes = serializers.ListField(
        child=serializers.ChoiceField(SCOPES),
        required=False,
        min_length=1,
        max_length=len(SCOPES),
        help_text="`ai` for calls, `read` for the account; `credits` is for staff. "
        "Without it: `ai` and `read`",
    )
    monthly_cap = CreditsInputField(
        required=False,
        allow_null=True,
        help_text="what calls with this key may spend in a calendar month (UTC), credits",
    )
    expires_at = serializers.DateTimeField(
        required=False, allow_null=True, validators=[ahead], help_text="without a zone: UTC"
    )


@extend_schema_serializer(examples=[OpenApiExample("a key", value=KEY)])
class KeySerializer(serializers.ModelSerializer[ApiKey]):
    monthly_cap = CreditsField(allow_null=True)
    scopes = serializers.ListField(child=serializers.ChoiceField(SCOPES), read_only=True)

    class Meta:
        model = ApiKey
        fields: tuple[str, ...] = (
            "id",
            "name",
            "prefix",
            "scopes",
            "monthly_cap",
            "created_at",
            "expires_at",
            "last_used_at",
        )
        read_only_fields = fields
        extra_kwargs = {
            "prefix": {"help_text": "how the key begins"},
            "last_used_at": {"help_text": "to the minute"},
            "created_at": {"read_only": True},
        }


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "a new key",
            value=KEY | {"api_key": "fb_4fT9xQ…"},
        )
    ]
)
class IssuedKeySerializer(KeySerializer):
    api_key = serializers.CharField(
        read_only=True, help_text="the key itself, told this once and kept nowhere"
    )

    class Meta(KeySerializer.Meta):
        fields: tuple[str, ...] = (*KeySerializer.Meta.fields, "api_key")
        read_only_fields = fields


class KeysSerializer(serializers.Serializer[Any]):
    results = KeySerializer(many=True, help_text=f"at most {KEYS_A_USER}")


class LeavingSerializer(serializers.Serializer[Any]):
    confirm = serializers.EmailField(
        max_length=254, help_text="the account's e-mail address, as a sign that this is meant"
    )
