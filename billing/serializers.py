"""The shapes that ``billing.views`` answers."""

from typing import Any

from rest_framework import serializers

from billing.models import Plan
from common.openapi import CreditsField


class PlanSerializer(serializers.ModelSerializer[Plan]):
    """A bound that is ``null``, and an empty list of models, mean no limit."""

    monthly_allowance = CreditsField(help_text="credits granted each period")
    models = serializers.ListField(
        child=serializers.CharField(), source="allowed_models", help_text="empty: all"
    )

    class Meta:
        model = Plan
        fields = (
            "slug",
            "name",
            "metering",
            "monthly_allowance",
            "quota_requests",
            "quota_tokens",
            "requests_per_minute",
            "open_calls",
            "max_output_tokens",
            "models",
            "is_default",
        )
        read_only_fields = fields


class PlansSerializer(serializers.Serializer[Any]):
    results = PlanSerializer(many=True)
