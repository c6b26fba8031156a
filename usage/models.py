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
    cache-write counts are parts of it. ``output_tokens`` counts every output token, and
    ``reasoning_tokens`` those of them that were thought and not said. ``cost`` is what the
    provider asks by its price list.
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
    reasoning_tokens = models.BigIntegerField(db_default=0)
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
    """What was learned from completed calls of a model, to make estimates of (``proxy.ratios``).

    ``stream_`` sums are of streams alone; ``event_squares`` and ``event_tokens`` are sums of a
    stream's events, times its events and times its tokens, by its bytes, in thousandths.
    """

    model = models.CharField(max_length=200, primary_key=True)
    input_bytes = models.BigIntegerField(db_default=0)
    input_tokens = models.BigIntegerField(db_default=0)
    output_bytes = models.BigIntegerField(db_default=0)
    output_tokens = models.BigIntegerField(db_default=0)
    stream_bytes = models.BigIntegerField(db_default=0)
    stream_tokens = models.BigIntegerField(db_default=0)
    stream_events = models.BigIntegerField(db_default=0)
    event_squares = models.BigIntegerField(db_default=0)
    event_tokens = models.BigIntegerField(db_default=0)

    def __str__(self) -> str:
        return self.model


class Provider(models.Model):
    """Who answers calls: a protocol, an address, and what to do when a client leaves.

    ``base_url`` is what the protocol's own SDK takes; empty, for ``openai`` and ``anthropic`` only,
    means the environment's (``OPENAI_BASE_URL``, ``ANTHROPIC_BASE_URL``).
    """

    class Kind(models.TextChoices):
        OPENAI = "openai", "OpenAI's protocol"
        ANTHROPIC = "anthropic", "Anthropic's protocol"
        DEMO = "demo", "built in"

    class OnLeaving(models.TextChoices):
        CANCEL = "cancel", "cut the provider off"
        DRAIN = "drain", "read its answer to the end"

    class OutputField(models.TextChoices):
        NEW = "max_completion_tokens", "max_completion_tokens"
        OLD = "max_tokens", "max_tokens"

    name = models.SlugField(max_length=50, unique=True)
    kind = models.CharField("speaks", max_length=20, choices=Kind)
    base_url = models.CharField("address", max_length=300, blank=True)
    enabled = models.BooleanField(default=True)
    on_leaving = models.CharField(
        "when a client leaves",
        max_length=10,
        choices=OnLeaving,
        default=OnLeaving.CANCEL,
        help_text="what was delivered is estimated when the provider is cut off; read to the end, "
        "its count is exact, and the whole answer is paid for",
    )
    output_field = models.CharField(
        "output bound is sent as",
        max_length=30,
        choices=OutputField,
        default=OutputField.NEW,
        help_text="OpenAI's protocol only; many servers that speak it know max_tokens alone",
    )
    asks_usage = models.BooleanField(
        "ask for usage",
        default=True,
        help_text="OpenAI's protocol only: stream_options.include_usage. Off for a server that "
        "refuses it and reports usage unasked; an answer without usage is estimated",
    )
    price_list = models.SlugField(
        max_length=50,
        blank=True,
        help_text="the provider's id in genai-prices; without one, models are added by hand",
    )
    created = models.DateTimeField(db_default=Now())

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return self.name


class ProviderKey(models.Model):
    """A key at a provider: stored encrypted, or named by the environment variable that holds it.

    A call goes to one of the provider's keys by chance, in proportion to their weights.
    """

    provider = models.ForeignKey(Provider, models.CASCADE, related_name="keys")
    label = models.CharField(max_length=50)
    weight = models.PositiveSmallIntegerField(default=1)
    enabled = models.BooleanField(default=True)
    secret = models.TextField(blank=True, editable=False)
    shown = models.CharField(max_length=20, blank=True, editable=False)
    env = models.CharField("environment variable", max_length=100, blank=True)
    created = models.DateTimeField(db_default=Now())

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["provider", "label"], name="usage_key_label"),
            models.CheckConstraint(condition=Q(weight__gte=1), name="usage_key_weight"),
            models.CheckConstraint(
                condition=(Q(secret="") & ~Q(env="")) | (~Q(secret="") & Q(env="")),
                name="usage_key_one_source",
            ),
        ]

    def __str__(self) -> str:
        return self.label


class ModelRoute(models.Model):
    """One provider of a model; they are tried by ``position``. A model without routes goes to its
    ``provider``, under its own name."""

    model = models.ForeignKey(AIModel, models.CASCADE, related_name="routes")
    provider = models.ForeignKey(Provider, models.CASCADE, related_name="routes")
    upstream_name = models.CharField(
        "name there", max_length=200, blank=True, help_text="empty: the name the client gave"
    )
    position = models.PositiveSmallIntegerField(default=1)

    class Meta:
        ordering: ClassVar = ["position", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["model", "provider", "upstream_name"], name="usage_route_once"
            ),
        ]

    def __str__(self) -> str:
        return self.upstream_name or "under the name the client gave"


class CallKey(models.Model):
    """The ``Idempotency-Key`` of a paid call, for a day (``usage.idempotency``).

    ``request`` is the SHA-256 of what was asked; ``output_tokens`` what ``begin`` answered, for
    an attempt whose answer was lost on its way. The call's state is its hold's.
    """

    user = models.ForeignKey(User, models.CASCADE, db_index=False, related_name="+")
    key = models.CharField(max_length=255)
    request = models.BinaryField()
    call = models.UUIDField()
    output_tokens = models.BigIntegerField()
    created = models.DateTimeField(db_index=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "key"], name="usage_callkey_once"),
        ]

    def __str__(self) -> str:
        return str(self.call)
