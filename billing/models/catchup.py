"""How far the catch-up with Stripe's events has come."""

from django.db import models


class CatchUp(models.Model):
    """One row: everything that happened at Stripe before ``until`` was applied. Written by
    ``billing.catchup`` alone."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    until = models.DateTimeField()
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"until {self.until}"
