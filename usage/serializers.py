"""The shapes that ``usage.views`` answers, and the queries it takes."""

from typing import Any

from drf_spectacular.utils import (
    OpenApiExample,
    extend_schema_field,
    extend_schema_serializer,
)
from rest_framework import serializers

from billing.models import Entitlement
from common.openapi import CreditsField
from common.tables import PageQuery
from ledger.history import reason_of
from ledger.models import Transfer
from usage.models import Call
from usage.receipts import OPEN

CALL_ID = "019aa3d0-7f2e-7c11-9b1e-3f6d1c0a2b44"


class CurrentPlanSerializer(serializers.Serializer[Any]):
    slug = serializers.CharField(source="plan.slug")
    name = serializers.CharField(source="plan.name")
    status = serializers.ChoiceField(choices=Entitlement.Status.choices)
    period_end = serializers.DateTimeField(allow_null=True)


class BalanceSerializer(serializers.Serializer[Any]):
    """``posted`` is what the wallet has, ``held`` what calls in progress reserve of it."""

    available = CreditsField()
    held = CreditsField()
    posted = CreditsField()


class MonthSerializer(serializers.Serializer[Any]):
    """A calendar month, UTC. A call counts in the month it began in."""

    month = serializers.RegexField(r"^\d{4}-\d{2}$")
    requests = serializers.IntegerField()
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    spent = CreditsField()


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "somebody on the free plan",
            value={
                "email": "ada@example.com",
                "plan": {
                    "slug": "free",
                    "name": "Free",
                    "status": "active",
                    "period_end": None,
                },
                "balance": {"available": "4.980000", "held": "0.000000", "posted": "4.980000"},
                "month": {
                    "month": "2026-11",
                    "requests": 12,
                    "input_tokens": 8_112,
                    "output_tokens": 2_750,
                    "spent": "0.020000",
                },
            },
        )
    ]
)
class MeSerializer(serializers.Serializer[Any]):
    email = serializers.EmailField()
    plan = CurrentPlanSerializer()
    balance = BalanceSerializer()
    month = MonthSerializer()


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "a call that has ended",
            value={
                "id": CALL_ID,
                "model": "demo",
                "provider": "demo",
                "status": "completed",
                "held": "0.334000",
                "spent": "0.001250",
                "returned": "0.332750",
                "estimated": False,
                "input_tokens": 31,
                "cached_tokens": 0,
                "output_tokens": 54,
                "reasoning_tokens": 0,
                "started": "2026-11-20T09:30:00.125000Z",
                "finished": "2026-11-20T09:30:02.871000Z",
            },
        )
    ]
)
class ReceiptSerializer(serializers.Serializer[Any]):
    """``returned`` is the part of ``held`` that went back; ``estimated`` that no usage was told."""

    id = serializers.UUIDField()
    model = serializers.CharField()
    provider = serializers.CharField()
    status = serializers.ChoiceField(choices=[*Call.Status.choices, (OPEN, OPEN)])
    held = CreditsField()
    spent = CreditsField()
    returned = CreditsField()
    estimated = serializers.BooleanField()
    input_tokens = serializers.IntegerField(help_text="cached ones included")
    cached_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField(help_text="those of reasoning included")
    reasoning_tokens = serializers.IntegerField()
    started = serializers.DateTimeField()
    finished = serializers.DateTimeField(allow_null=True)


class TransferSerializer(serializers.Serializer[Any]):
    """A movement of the wallet: positive amounts came in, negative ones left."""

    id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=Transfer.Kind.choices)
    amount = CreditsField(source="signed")
    call = serializers.SerializerMethodField(help_text="the call it belongs to")
    reason = serializers.SerializerMethodField(
        help_text="what it was for, if another service than the proxy moved it"
    )
    created = serializers.DateTimeField()

    @extend_schema_field({"type": "string", "format": "uuid", "nullable": True})
    def get_call(self, transfer: Transfer) -> str | None:
        of_call = transfer.hold_kind == "call"  # type: ignore[attr-defined]
        return str(transfer.hold_id) if of_call else None

    def get_reason(self, transfer: Transfer) -> str | None:
        return reason_of(transfer)


class PageSerializer(serializers.Serializer[Any]):
    next = serializers.URLField(allow_null=True, help_text="older rows")
    previous = serializers.URLField(allow_null=True, help_text="newer rows")


class CallPageSerializer(PageSerializer):
    results = ReceiptSerializer(many=True)


class TransferPageSerializer(PageSerializer):
    results = TransferSerializer(many=True)


class MonthsSerializer(serializers.Serializer[Any]):
    results = MonthSerializer(many=True)


class CallQuery(PageQuery):
    """Which calls."""

    model = serializers.CharField(required=False, max_length=200)
    status = serializers.ChoiceField(required=False, choices=Call.Status.choices)
    since = serializers.DateTimeField(required=False, help_text="began then or later")
    until = serializers.DateTimeField(required=False, help_text="began before then")
