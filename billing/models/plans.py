"""Plans, and what each user may do now."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from accounts.models import User


class Plan(models.Model):
    """What a user may do, and how it is metered. Amounts are microcredits.

    An empty bound (``None``, or no allowed models) means no limit. ``metering`` chooses what pays
    for a call: credits from the wallet; the monthly quota, inside which calls cost no credits and
    past which they are refused; or the quota first and credits after it.
    """

    class Metering(models.TextChoices):
        CREDITS = "credits", "credits"
        QUOTA = "quota", "quota"
        QUOTA_THEN_CREDITS = "quota_then_credits", "quota first, then credits"

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=100)
    metering = models.CharField(max_length=20, choices=Metering, default=Metering.CREDITS)
    monthly_allowance = models.BigIntegerField(default=0, help_text="microcredits a period")
    quota_requests = models.BigIntegerField(null=True, blank=True, help_text="a month")
    quota_tokens = models.BigIntegerField(null=True, blank=True, help_text="a month, in and out")
    requests_per_minute = models.PositiveIntegerField(null=True, blank=True)
    tokens_per_minute = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="in and out; an open call counts with the most it can use",
    )
    open_calls = models.PositiveIntegerField(null=True, blank=True)
    max_output_tokens = models.PositiveIntegerField(null=True, blank=True)
    allowed_models = ArrayField(
        models.CharField(max_length=200), default=list, blank=True, help_text="empty: all"
    )
    description = models.CharField(max_length=200, blank=True, help_text="a line under the name")
    price = models.PositiveIntegerField(
        null=True, blank=True, help_text="minor units (cents) a month; empty: not sold"
    )
    trial_days = models.PositiveSmallIntegerField(default=0)
    trial_allowance = models.BigIntegerField(default=0, help_text="microcredits for the trial")
    stripe_product = models.CharField(max_length=255, blank=True, editable=False)
    for_sale = models.BooleanField(default=True)
    is_default = models.BooleanField(
        default=False, help_text="the plan of everybody who has no other"
    )

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["is_default"],
                condition=models.Q(is_default=True),
                name="billing_plan_one_default",
            ),
            models.CheckConstraint(
                condition=models.Q(monthly_allowance__gte=0),
                name="billing_plan_allowance_not_negative",
            ),
            models.CheckConstraint(
                condition=models.Q(requests_per_minute__isnull=True)
                | models.Q(requests_per_minute__gt=0),
                name="billing_plan_rate_above_zero",
            ),
            models.CheckConstraint(
                condition=models.Q(tokens_per_minute__isnull=True)
                | models.Q(tokens_per_minute__gt=0),
                name="billing_plan_tokens_above_zero",
            ),
            models.CheckConstraint(
                condition=models.Q(price__isnull=True) | models.Q(price__gt=0),
                name="billing_plan_price_above_zero",
            ),
            models.CheckConstraint(
                condition=models.Q(trial_allowance__gte=0),
                name="billing_plan_trial_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class PlanPrice(models.Model):
    """A price of Stripe's that a plan has or had, so that whoever pays an older one is known.

    ``amount`` is minor units of ``currency`` a month. One price of a plan is active: what new
    subscribers pay.
    """

    plan = models.ForeignKey(Plan, models.PROTECT, related_name="prices")
    stripe_id = models.CharField(max_length=255, unique=True)
    amount = models.PositiveIntegerField()
    currency = models.CharField(max_length=3)
    active = models.BooleanField(default=True)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["plan", "currency"],
                condition=models.Q(active=True),
                name="billing_planprice_one_active",
            )
        ]

    def __str__(self) -> str:
        return f"{self.plan} at {self.amount} {self.currency} ({self.stripe_id})"


class Setup(models.Model):
    """What ``sync_plans`` made at Stripe besides products and prices, by name: ``portal`` is the
    customer portal's configuration."""

    name = models.CharField(max_length=20, primary_key=True)
    stripe_id = models.CharField(max_length=255)

    def __str__(self) -> str:
        return f"{self.name}: {self.stripe_id}"


class Entitlement(models.Model):
    """The plan a user has now. Nobody without a row here is left out: the default plan holds.

    Written only by ``billing.entitlements``. ``past_due`` gives access until ``grace_until``.
    """

    class Status(models.TextChoices):
        ACTIVE = "active", "active"
        TRIALING = "trialing", "trialing"
        PAST_DUE = "past_due", "past due"
        CANCELED = "canceled", "canceled"
        INACTIVE = "inactive", "inactive"

    class Source(models.TextChoices):
        STAFF = "staff", "staff"
        STRIPE = "stripe", "Stripe"
        DEMO = "demo", "demo"

    user = models.OneToOneField(User, models.CASCADE, primary_key=True)
    plan = models.ForeignKey(Plan, models.PROTECT)
    status = models.CharField(max_length=20, choices=Status, default=Status.ACTIVE)
    source = models.CharField(max_length=10, choices=Source, default=Source.STAFF)
    subscription = models.CharField(max_length=255, blank=True, help_text="Stripe's id of it")
    period_start = models.DateTimeField(null=True, blank=True)
    period_end = models.DateTimeField(null=True, blank=True)
    trial_end = models.DateTimeField(null=True, blank=True)
    cancel_at = models.DateTimeField(null=True, blank=True, help_text="when it ends, if canceled")
    grace_until = models.DateTimeField(null=True, blank=True)
    assigned_at = models.DateTimeField(null=True, blank=True, help_text="by staff")
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"{self.user}: {self.plan} ({self.status})"

    @property
    def gives_access(self) -> bool:
        """Whether calls are let through; the same rule stands in ``usage_begin``."""
        if self.status == self.Status.PAST_DUE:
            return self.grace_until is None or self.grace_until > timezone.now()
        return self.status in {self.Status.ACTIVE, self.Status.TRIALING}
