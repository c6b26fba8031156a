"""Who pays, what they set out to buy, what was paid, and the lots that were granted for it."""

from typing import ClassVar

from django.db import models

from accounts.models import User
from billing.models.plans import Plan
from common.ids import uuid7
from ledger.models import Grant


class Customer(models.Model):
    """A user's customer at Stripe.

    ``closing_at`` is set when the user leaves: what they have at Stripe is to be ended, and the
    row goes once it is.
    """

    user = models.OneToOneField(User, models.PROTECT, primary_key=True, related_name="customer")
    stripe_id = models.CharField(max_length=255, unique=True)
    closing_at = models.DateTimeField(null=True, blank=True)
    created = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.stripe_id


class CreditTier(models.Model):
    """What a credit costs from a quantity on; all credits of an order cost the tier's price.

    ``price`` is in major units of ``CURRENCY`` (0.0950: nine and a half cents). Below the lowest
    tier, and without any, a credit costs ``CREDIT_PRICE_USD``.
    """

    from_quantity = models.PositiveIntegerField(unique=True, help_text="whole credits")
    price = models.DecimalField(
        max_digits=12, decimal_places=4, help_text="of one credit, such as 0.0950"
    )

    class Meta:
        ordering: ClassVar = ["from_quantity"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(price__gt=0), name="billing_credittier_price_above_zero"
            ),
            models.CheckConstraint(
                condition=models.Q(from_quantity__gt=0),
                name="billing_credittier_quantity_above_zero",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.price} each from {self.from_quantity}"


class Order(models.Model):
    """What somebody set out to buy, and at which price: kept before Stripe is asked.

    ``amount`` is minor units of ``currency`` before tax and discounts; ``quantity`` whole credits.
    What is paid later is compared with it. ``stripe_id`` is the Checkout session's id, or the
    payment intent's of a top-up; a demo order has none.
    """

    class Kind(models.TextChoices):
        PLAN = "plan", "plan"
        CREDITS = "credits", "credits"
        TOP_UP = "top_up", "automatic top-up"

    class State(models.TextChoices):
        OPEN = "open", "open"
        PENDING = "pending", "pending"  # open -> pending: completed, the money is on its way
        PAID = "paid", "paid"  # open | pending | failed -> paid
        FAILED = "failed", "failed"  # open | pending -> failed
        EXPIRED = "expired", "expired"  # open -> expired

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, models.PROTECT, related_name="orders")
    kind = models.CharField(max_length=10, choices=Kind)
    plan = models.ForeignKey(Plan, models.PROTECT, null=True, blank=True)
    quantity = models.PositiveIntegerField(null=True, blank=True)
    amount = models.PositiveIntegerField()
    currency = models.CharField(max_length=3)
    demo = models.BooleanField(default=False)
    key = models.CharField(max_length=255, blank=True, help_text="the caller's Idempotency-Key")
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    stripe_id = models.CharField(max_length=255, null=True, blank=True, unique=True)
    url = models.TextField(blank=True, help_text="where it is paid, while it is open")
    failure = models.CharField(max_length=200, blank=True)
    created = models.DateTimeField(auto_now_add=True)
    ended = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-created"]
        indexes: ClassVar = [
            models.Index(fields=["user", "-created"], name="billing_order_user"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(kind="plan", plan__isnull=False, quantity__isnull=True)
                | models.Q(kind__in=["credits", "top_up"], plan__isnull=True, quantity__gt=0),
                name="billing_order_of_a_kind",
            ),
            models.UniqueConstraint(
                fields=["user", "key"],
                condition=~models.Q(key=""),
                name="billing_order_one_a_key",
            ),
            # This prevents two Checkout pages for plans at once, and so two subscriptions.
            models.UniqueConstraint(
                fields=["user"],
                condition=models.Q(kind="plan", state="open"),
                name="billing_order_one_open_plan",
            ),
            # This prevents two automatic top-ups at once.
            models.UniqueConstraint(
                fields=["user"],
                condition=models.Q(kind="top_up", state__in=["open", "pending"]),
                name="billing_order_one_top_up",
            ),
        ]

    def __str__(self) -> str:
        what = str(self.plan) if self.plan else f"{self.quantity} credits"
        return f"{what} ({self.state})"


class Payment(models.Model):
    """A paid object, and what was granted for it: once, whatever is heard of it and how often.

    ``object_id`` is the invoice's (a plan's period), the Checkout session's (credits), the payment
    intent's (a top-up), or the demo order's; the ledger's key is made of it. ``paid`` is minor
    units of ``currency``; ``granted`` and ``revoked`` are microcredits. ``revoked`` is what refunds
    and disputes have undone up to now; ``revision`` counts the changes of it. ``looked_at`` is when
    Stripe was asked for what is written here, so that an earlier answer never replaces a later one.
    """

    class Kind(models.TextChoices):
        PLAN = "plan", "plan"
        CREDITS = "credits", "credits"
        TOP_UP = "top_up", "automatic top-up"

    object_id = models.CharField(max_length=255, unique=True)
    user = models.ForeignKey(User, models.PROTECT, related_name="payments")
    kind = models.CharField(max_length=10, choices=Kind)
    plan = models.ForeignKey(Plan, models.PROTECT, null=True, blank=True)
    order = models.ForeignKey(Order, models.PROTECT, null=True, blank=True)
    demo = models.BooleanField(default=False)
    paid = models.PositiveIntegerField()
    currency = models.CharField(max_length=3)
    payment_intent = models.CharField(max_length=255, blank=True, db_index=True)
    granted = models.BigIntegerField(default=0)
    revoked = models.BigIntegerField(default=0)
    revision = models.PositiveIntegerField(default=0)
    looked_at = models.DateTimeField(null=True, blank=True)
    refunded = models.PositiveIntegerField(default=0, help_text="minor units")
    disputed = models.PositiveIntegerField(default=0, help_text="minor units, open or lost")
    period_start = models.DateTimeField(null=True, blank=True)
    period_end = models.DateTimeField(null=True, blank=True)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [models.Index(fields=["user", "-id"], name="billing_payment_user")]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(revoked__gte=0) & models.Q(revoked__lte=models.F("granted")),
                name="billing_payment_revoked",
            )
        ]

    def __str__(self) -> str:
        return self.object_id


class PaymentGrant(models.Model):
    """A lot granted for a payment: the first one, and those that restored it later."""

    payment = models.ForeignKey(Payment, models.PROTECT, related_name="lots")
    grant = models.OneToOneField(Grant, models.PROTECT, related_name="+")

    def __str__(self) -> str:
        return f"{self.payment}: {self.grant_id}"
