"""What can be called, at which price, and what was called."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce, Now

from accounts.models import ApiKey, User
from common.ids import uuid7


class AIModel(models.Model):
    """A model that can be called, by the name clients use.

    Prices come from genai-prices unless the operator overrides them; ``sync_models`` writes a new
    ``Price`` whenever the result differs from the one in force. ``override`` gives US dollars per
    million tokens as decimal strings, ``{"input": "3", "cache_read": "0.3", "output": "15"}``.
    """

    class Protocol(models.TextChoices):
        OPENAI = "openai", "OpenAI"
        ANTHROPIC = "anthropic", "Anthropic"
        ANY = "any", "any"

    name = models.CharField(max_length=200, unique=True)
    provider = models.CharField(max_length=50)
    protocol = models.CharField(max_length=20, choices=Protocol)
    enabled = models.BooleanField(default=True)
    context_window = models.PositiveIntegerField(null=True, blank=True)
    max_output_tokens = models.PositiveIntegerField(null=True, blank=True)
    markup = models.DecimalField(
        max_digits=10,
        decimal_places=4,
        null=True,
        blank=True,
        help_text="times the provider's price; empty: PRICE_MARKUP",
    )
    override = models.JSONField(null=True, blank=True)
    created = models.DateTimeField(db_default=Now())

    class Meta:
        ordering: ClassVar = ["provider", "name"]
        verbose_name = "AI model"

    def __str__(self) -> str:
        return self.name


class Price(models.Model):
    """A version of a model's price. Never changed: a new one takes its place for later calls.

    ``rates`` is what the user pays and ``cost_rates`` what the provider asks, both as
    ``{"base": {bucket: rate}, "tiers": [{"above": tokens, "rates": {bucket: rate}}]}`` with whole
    microcredits per million tokens (see ``usage.prices``).
    """

    model = models.ForeignKey(AIModel, models.PROTECT, related_name="prices")
    rates = models.JSONField()
    cost_rates = models.JSONField()
    source = models.CharField(max_length=100)
    created = models.DateTimeField(db_default=Now())

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"{self.model} v{self.pk}"


class Call(models.Model):
    """The record of one call that has ended; its id is its hold's. Amounts are microcredits.

    ``input_tokens`` counts every input token, cached ones included; ``cached_tokens`` and the two
    cache-write counts are parts of it. ``cost`` is what the provider asks by its price list.
    """

    class Status(models.TextChoices):
        COMPLETED = "completed", "completed"
        CANCELED = "canceled", "canceled"  # the client left
        INTERRUPTED = "interrupted", "interrupted"  # the provider broke off
        SWEPT = "swept", "swept"  # the process died; the sweeper ended it
        FAILED = "failed", "failed"  # nothing was delivered, nothing is owed

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, models.SET_NULL, null=True, db_index=False, related_name="calls")
    api_key = models.ForeignKey(ApiKey, models.SET_NULL, null=True, db_index=False)
    model = models.CharField(max_length=200)
    provider = models.CharField(max_length=50)
    protocol = models.CharField(max_length=20)
    price = models.ForeignKey(Price, models.PROTECT, db_constraint=False, db_index=False, null=True)
    status = models.CharField(max_length=20, choices=Status)
    streamed = models.BooleanField()
    by_quota = models.BooleanField(help_text="paid by the plan's quota, not by credits")
    held = models.BigIntegerField()
    spent = models.BigIntegerField()
    written_off = models.BigIntegerField()
    cost = models.BigIntegerField()
    estimated = models.BooleanField()
    input_tokens = models.BigIntegerField()
    cached_tokens = models.BigIntegerField()
    cache_write_tokens = models.BigIntegerField()
    cache_write_1h_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    error = models.CharField(max_length=200, blank=True)
    first_event_ms = models.IntegerField(null=True)
    started = models.DateTimeField()
    finished = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["-started"]
        indexes: ClassVar = [
            models.Index(fields=["user", "-started"], name="usage_call_by_user"),
        ]

    def __str__(self) -> str:
        return str(self.id)


class MonthlyUsage(models.Model):
    """Counters of a user's month (UTC, "2026-11") by API key, kept under the wallet's lock.

    A user's month is the sum of their rows. A call counts in the month it began in.
    """

    user = models.ForeignKey(User, models.CASCADE, db_index=False)
    month = models.CharField(max_length=7)
    # A key that was used is revoked, not deleted, but with its user: its calls count on.
    api_key = models.ForeignKey(ApiKey, models.RESTRICT, null=True, db_index=False)
    requests = models.BigIntegerField(db_default=0)
    input_tokens = models.BigIntegerField(db_default=0)
    output_tokens = models.BigIntegerField(db_default=0)
    spent = models.BigIntegerField(db_default=0)

    class Meta:
        verbose_name_plural = "monthly usage"
        constraints: ClassVar = [
            models.UniqueConstraint(
                "user",
                "month",
                Coalesce(
                    "api_key",
                    models.Value("00000000-0000-0000-0000-000000000000"),
                    output_field=models.UUIDField(),
                ),
                name="usage_month_one_row",
            ),
            models.CheckConstraint(
                condition=Q(requests__gte=0) & Q(input_tokens__gte=0) & Q(output_tokens__gte=0),
                name="usage_month_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.month} {self.user_id}"


class TokenRatio(models.Model):
    """Bytes per token learned from completed calls of a model; what estimates are made with."""

    model = models.CharField(max_length=200, primary_key=True)
    input_bytes = models.BigIntegerField(db_default=0)
    input_tokens = models.BigIntegerField(db_default=0)
    output_bytes = models.BigIntegerField(db_default=0)
    output_tokens = models.BigIntegerField(db_default=0)

    def __str__(self) -> str:
        return self.model
