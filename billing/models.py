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
    open_calls = models.PositiveIntegerField(null=True, blank=True)
    max_output_tokens = models.PositiveIntegerField(null=True, blank=True)
    allowed_models = ArrayField(
        models.CharField(max_length=200), default=list, blank=True, help_text="empty: all"
    )
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
        ]

    def __str__(self) -> str:
        return self.name


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

    user = models.OneToOneField(User, models.CASCADE, primary_key=True)
    plan = models.ForeignKey(Plan, models.PROTECT)
    status = models.CharField(max_length=20, choices=Status, default=Status.ACTIVE)
    period_end = models.DateTimeField(null=True, blank=True)
    grace_until = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"{self.user}: {self.plan} ({self.status})"

    @property
    def gives_access(self) -> bool:
        """Whether calls are let through; the same rule stands in ``usage_begin``."""
        if self.status == self.Status.PAST_DUE:
            return self.grace_until is None or self.grace_until > timezone.now()
        return self.status in {self.Status.ACTIVE, self.Status.TRIALING}


class Allowance(models.Model):
    """Somebody who signed up by themselves, and so may claim the free plan's allowance.

    ``claimed_at`` is when they did so first. Written by ``billing.allowance`` alone; whom staff
    made has no row here.
    """

    user = models.OneToOneField(User, models.CASCADE, primary_key=True, related_name="allowance")
    claimed_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.user_id} {'claimed' if self.claimed_at else 'not claimed'}"


class AllowancePerson(models.Model):
    """That somebody with this mailbox has claimed an allowance once, kept after they left.

    A keyed hash and nothing else: no user, no time. See ``billing.allowance``.
    """

    hash = models.CharField(max_length=64, primary_key=True)

    def __str__(self) -> str:
        return self.hash[:8]


class AllowanceRange(models.Model):
    """How many allowances were claimed from an address range on a day (UTC), for two days.

    The range is a keyed hash that changes from day to day.
    """

    hash = models.CharField(max_length=64, primary_key=True)
    day = models.DateField(db_index=True)
    claims = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.day} {self.hash[:8]}: {self.claims}"
