"""Plans that were subscribed to in the demo mode, where nothing is paid."""

from typing import ClassVar

from django.db import models

from accounts.models import User
from billing.models.payments import Order
from billing.models.plans import Plan


class DemoSubscription(models.Model):
    """A subscription of the demo mode, with the periods that Stripe would give it.

    Paid periods begin ``anchor`` plus whole months, on a month's last day where it has no such
    day; a trial ends at the anchor. ``number`` is that of the last grant, counted from 0: the
    ledger's key is made of it. ``next_plan`` takes over with the next period. ``amount`` is minor
    units of ``currency`` a month: what would be paid. Written by ``billing.demo`` alone.
    """

    user = models.ForeignKey(User, models.CASCADE, related_name="demo_subscriptions")
    plan = models.ForeignKey(Plan, models.PROTECT, related_name="+")
    order = models.OneToOneField(Order, models.PROTECT, related_name="+")
    amount = models.PositiveIntegerField()
    currency = models.CharField(max_length=3)
    anchor = models.DateTimeField()
    number = models.PositiveIntegerField(default=0)
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    trial_end = models.DateTimeField(null=True, blank=True)
    cancel_at_period_end = models.BooleanField(default=False)
    next_plan = models.ForeignKey(Plan, models.PROTECT, null=True, blank=True, related_name="+")
    ended_at = models.DateTimeField(null=True, blank=True)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["period_end"],
                condition=models.Q(ended_at__isnull=True),
                name="billing_demo_due",
            )
        ]
        constraints: ClassVar = [
            # This prevents two subscriptions of one user at once.
            models.UniqueConstraint(
                fields=["user"],
                condition=models.Q(ended_at__isnull=True),
                name="billing_demo_one_live",
            )
        ]

    def __str__(self) -> str:
        return f"{self.plan} until {self.period_end:%Y-%m-%d} (demo)"
