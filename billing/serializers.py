"""The shapes that ``billing.views`` answers and takes."""

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing.models import Entitlement, Plan
from common.openapi import CreditsField

MOST_DIGITS = 10**9  # a quantity beyond it is out of any bounds


class AmountSerializer(serializers.Serializer[Any]):
    """Minor units (cents) of a currency; of one without any, such as yen, whole units."""

    amount = serializers.IntegerField()
    currency = serializers.CharField()


class PlanSerializer(serializers.ModelSerializer[Plan]):
    """A bound that is ``null``, and an empty list of models, mean no limit. What has no price is
    not sold: it is what everybody has."""

    monthly_allowance = CreditsField(help_text="credits granted each period")
    models = serializers.ListField(
        child=serializers.CharField(), source="allowed_models", help_text="empty: all"
    )
    price = serializers.SerializerMethodField(help_text="a month, before taxes")
    trial_allowance = CreditsField(help_text="credits granted for the trial")

    class Meta:
        model = Plan
        fields = (
            "slug",
            "name",
            "description",
            "price",
            "trial_days",
            "trial_allowance",
            "metering",
            "monthly_allowance",
            "quota_requests",
            "quota_tokens",
            "requests_per_minute",
            "tokens_per_minute",
            "open_calls",
            "max_output_tokens",
            "models",
            "is_default",
        )
        read_only_fields = fields

    @extend_schema_field(AmountSerializer(allow_null=True))
    def get_price(self, plan: Plan) -> dict[str, Any] | None:
        if plan.price is None:
            return None
        return {"amount": plan.price, "currency": settings.CURRENCY}


class PlansSerializer(serializers.Serializer[Any]):
    results = PlanSerializer(many=True)


class UrlSerializer(serializers.Serializer[Any]):
    """Where to lead the person: open it in a tab of its own."""

    url = serializers.CharField()


class CheckoutSerializer(serializers.Serializer[Any]):
    plan = serializers.CharField(max_length=50, help_text="its slug, from `GET /api/plans`")


@extend_schema_field({"type": "integer", "minimum": 1, "example": 100})
class WholeNumber(serializers.Field[int, Any, int, Any]):
    """A JSON integer and nothing that could be taken for one: no string, fraction or boolean."""

    default_error_messages = {"invalid": "must be a whole number, such as 100."}

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int:
            self.fail("invalid")
        return int(data)

    def to_representation(self, value: int) -> int:
        return value


class CreditsOrderSerializer(serializers.Serializer[Any]):
    quantity = WholeNumber(help_text="whole credits, within the bounds of `GET`")


class CreditsQuery(serializers.Serializer[Any]):
    quantity = serializers.IntegerField(
        required=False, min_value=1, max_value=MOST_DIGITS, help_text="answers its price alone"
    )


class TierSerializer(serializers.Serializer[Any]):
    """From this quantity on, every credit of an order costs ``price``."""

    price = serializers.CharField(help_text="of one credit, major units, such as 0.0950")

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """``from`` is a word of Python's."""
        return {"from": serializers.IntegerField(), **super().get_fields()}


class CreditPricesSerializer(serializers.Serializer[Any]):
    """What credits cost: ``least`` to ``most`` an order. With ``?quantity=`` in its place
    ``quantity``, ``amount`` and ``currency``."""

    least = serializers.IntegerField()
    most = serializers.IntegerField()
    currency = serializers.CharField()
    tiers = TierSerializer(many=True)


class CreditQuoteSerializer(AmountSerializer):
    quantity = serializers.IntegerField()


class PlanNameSerializer(serializers.Serializer[Any]):
    slug = serializers.CharField()
    name = serializers.CharField()


class WalletSerializer(serializers.Serializer[Any]):
    """A wallet that owes is frozen: it pays for nothing until that is settled."""

    frozen = serializers.BooleanField()
    owed = serializers.CharField(help_text="credits")
    message = serializers.CharField(allow_null=True, help_text="why, and what to do")


class SubscriptionSerializer(serializers.Serializer[Any]):
    """The plan that holds now, and what becomes of it. ``source`` says who gave it: a subscription
    at Stripe, one of the demo mode, or staff; ``null`` on the default plan."""

    plan = PlanNameSerializer()
    status = serializers.ChoiceField(choices=Entitlement.Status.choices)
    source = serializers.ChoiceField(  # type: ignore[assignment]  # a field of that name
        choices=Entitlement.Source.choices, allow_null=True
    )
    period_start = serializers.DateTimeField(allow_null=True)
    period_end = serializers.DateTimeField(allow_null=True)
    trial_end = serializers.DateTimeField(allow_null=True)
    cancel_at = serializers.DateTimeField(allow_null=True, help_text="it ends then")
    grace_until = serializers.DateTimeField(
        allow_null=True, help_text="the renewal was not paid; access ends then"
    )
    ended_at = serializers.DateTimeField(
        allow_null=True, help_text="when the last subscription ended, on the default plan"
    )
    price = AmountSerializer(allow_null=True, help_text="a month, before taxes")
    scheduled_plan = serializers.CharField(
        allow_null=True, help_text="the slug of the plan that takes over with the next period"
    )
    wallet = WalletSerializer()
    payments = serializers.ChoiceField(choices=["stripe", "demo"])


class InvoiceSerializer(serializers.Serializer[Any]):
    """An invoice of a plan, or a single payment for credits, which has no number and no PDF."""

    id = serializers.CharField()
    number = serializers.CharField(allow_null=True)
    created = serializers.DateTimeField()
    amount = serializers.IntegerField(help_text="minor units, taxes in and discounts off")
    currency = serializers.CharField()
    status = serializers.CharField(
        help_text="open, paid, uncollectible or void; of a single payment paid, refunded, disputed"
    )
    url = serializers.CharField(allow_null=True, help_text="a page of Stripe's that shows it")
    pdf = serializers.CharField(allow_null=True)
    description = serializers.CharField()


class InvoicePageSerializer(serializers.Serializer[Any]):
    next = serializers.CharField(allow_null=True, help_text="the address of older ones")
    previous = serializers.CharField(allow_null=True, help_text="of newer ones")
    results = InvoiceSerializer(many=True)
