"""Shapes of the proxy's one address under ``/api/``."""

from typing import Any

from rest_framework import serializers

from common.money import format_credits
from proxy.quote import Quote


class QuoteSerializer(serializers.Serializer[Quote]):
    model = serializers.CharField()
    affordable = serializers.BooleanField(help_text="whether the call would be let through now")
    held = serializers.SerializerMethodField(
        help_text="credits that would be held; null when the call can't be afforded"
    )
    at_most = serializers.SerializerMethodField(help_text="credits the call can cost at most")
    input_tokens = serializers.IntegerField(help_text="upper bound")
    output_tokens = serializers.IntegerField(help_text="upper bound of each choice")
    reason = serializers.CharField(help_text="why it can't be afforded; else empty")

    def get_held(self, quote: Quote) -> str | None:
        return None if quote.held is None else format_credits(quote.held)

    def get_at_most(self, quote: Quote) -> str:
        return format_credits(quote.at_most)


class QuotedRequestSerializer(serializers.Serializer[Any]):
    """The body of a call as it would be sent; its protocol's other fields are taken too."""

    model = serializers.CharField()
    messages = serializers.ListField(child=serializers.DictField(), required=False)
    input = serializers.JSONField(required=False, help_text="of Responses and embeddings")
    max_tokens = serializers.IntegerField(required=False)
    stream = serializers.BooleanField(required=False)
