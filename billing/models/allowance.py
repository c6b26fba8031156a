"""Who had the free plan's allowance, and how many did from one network."""

from django.db import models

from accounts.models import User


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
    """That somebody with this mailbox has claimed an allowance, or a trial, once; kept after they
    left.

    A keyed hash and nothing else: no user, no time. See ``billing.allowance`` and
    ``billing.trials``.
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
