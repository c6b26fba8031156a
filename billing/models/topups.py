"""Automatic top-up: what each user wants bought when their wallet runs low."""

from typing import ClassVar

from django.db import models

from accounts.models import User


class TopUp(models.Model):
    """Buy ``quantity`` credits when less than ``threshold`` (microcredits) is available, at most
    ``monthly_cap`` credits a calendar month (UTC). Written by ``billing.topup`` alone.

    A decline counts ``failures``, once an order (``counted`` is the last one), and waits until
    ``next_try_at``, which also keeps others away while one process is at it. An order that needs
    the user's authentication waits for them.

    Those without a top-up get a mail when their wallet is low, unless ``low_balance_mail`` is off;
    ``low_attended`` is the ``low_since`` of the wallet that was looked at last.
    """

    user = models.OneToOneField(User, models.CASCADE, primary_key=True, related_name="top_up")
    enabled = models.BooleanField(default=False)
    threshold = models.BigIntegerField(default=0)
    quantity = models.PositiveIntegerField(default=0, help_text="whole credits")
    monthly_cap = models.PositiveIntegerField(default=0, help_text="whole credits a month")
    failures = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, blank=True)
    failure = models.CharField(max_length=200, blank=True)
    counted = models.UUIDField(null=True, blank=True)
    low_balance_mail = models.BooleanField(default=True)
    low_attended = models.DateTimeField(null=True, blank=True)
    low_mailed_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(enabled=False)
                | models.Q(threshold__gt=0, quantity__gt=0, monthly_cap__gte=models.F("quantity")),
                name="billing_topup_complete",
            )
        ]

    def __str__(self) -> str:
        return f"{self.user_id}: {self.quantity} below {self.threshold}"
