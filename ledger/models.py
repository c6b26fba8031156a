"""Double-entry books after TigerBeetle's model, kept in PostgreSQL.

The nouns: an ``Account`` holds credits; a ``Transfer`` moves them from one account to another and
is never changed; a ``Grant`` is a lot that a wallet is made of; a ``Hold`` reserves credits for
work that has not ended. The unit is the microcredit, a bigint.

These models are for reading, and for the migrations. Every change goes through ``ledger.verbs``,
whose rules live in ``ledger/sql``; the tables refuse others where PostgreSQL can tell.
"""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from common.money import format_credits


class Account(models.Model):
    """Somebody's or something's place in the books.

    Only a wallet keeps a live balance: ``posted`` (what it has), ``held`` (of that, reserved) and
    ``owed`` (a receivable; while it is above zero the wallet is frozen). All other balances are
    sums of transfers, so that no row is hot. ``rate_tat`` is the theoretical arrival time of the
    GCRA request limit, kept here because a paid call locks this row anyway; ``token_tat`` that of
    the token limit, for calls that have ended. A wallet is closed at
    the moment its owner leaves for good: what it has and what comes in later expires.

    ``low_since`` is when a wallet with a ``low_mark`` (microcredits) became low, that is, less was
    available than that after something was spent or asked for in vain; ``None`` once it is lifted.
    """

    class Kind(models.TextChoices):
        WALLET = "wallet", "wallet"
        RECEIVABLE = "receivable", "receivable"
        SALES = "sales", "sales"
        PROMOTION = "promotion", "promotion"
        REVENUE = "revenue", "revenue"
        PAYOUTS = "payouts", "payouts"
        WRITE_OFF = "write_off", "write-off"
        EXPIRED = "expired", "expired"

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="ledger_accounts",
    )
    kind = models.CharField(max_length=20, choices=Kind)
    posted = models.BigIntegerField(db_default=0)
    held = models.BigIntegerField(db_default=0)
    owed = models.BigIntegerField(db_default=0)
    rate_tat = models.DateTimeField(null=True)
    token_tat = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    low_mark = models.BigIntegerField(null=True, blank=True)
    low_since = models.DateTimeField(null=True, blank=True)
    created = models.DateTimeField(db_default=Now())

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["low_since"],
                condition=Q(low_since__isnull=False),
                name="ledger_account_low",
            ),
        ]
        constraints: ClassVar = [
            # The promise that no wallet is ever overdrawn, kept by PostgreSQL itself.
            models.CheckConstraint(
                condition=Q(held__gte=0) & Q(posted__gte=F("held")), name="ledger_account_covered"
            ),
            models.CheckConstraint(condition=Q(owed__gte=0), name="ledger_account_owed"),
            models.UniqueConstraint(fields=["owner", "kind"], name="ledger_account_one_a_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.pk}"

    @property
    def available(self) -> int:
        """What a hold can take now, microcredits (lots that are due leave first)."""
        return self.posted - self.held


class Transfer(models.Model):
    """``amount`` microcredits from ``debit`` to ``credit``. Append-only, by trigger.

    One debit and one credit a row: the books sum to zero by construction. The two accounts and
    the hold carry no foreign-key constraint, because each check would take a share lock on the
    revenue account's row in every call; accounts and holds are never deleted (trigger), and
    ``reconcile`` looks for strays.
    """

    class Kind(models.TextChoices):
        PURCHASE = "purchase", "purchase"
        ALLOWANCE = "allowance", "plan allowance"
        PROMOTION = "promotion", "promotion"
        CAPTURE = "capture", "capture"
        ADJUSTMENT = "adjustment", "late usage"
        WRITE_OFF = "write_off", "write-off"
        REFUND = "refund", "refund"
        REVOKE = "revoke", "revoked grant"
        RECEIVABLE = "receivable", "receivable"
        SETTLE = "settle", "receivable settled"
        EXPIRE = "expire", "expired"

    debit = models.ForeignKey(
        Account, models.PROTECT, related_name="debits", db_constraint=False, db_index=False
    )
    credit = models.ForeignKey(
        Account, models.PROTECT, related_name="credits", db_constraint=False, db_index=False
    )
    amount = models.BigIntegerField()
    kind = models.CharField(max_length=20, choices=Kind)
    key = models.CharField(max_length=255)
    reverses = models.ForeignKey(
        "self", models.PROTECT, null=True, related_name="reversals", db_index=False
    )
    hold = models.ForeignKey("Hold", models.PROTECT, null=True, db_constraint=False, db_index=False)
    metadata = models.JSONField(default=dict)
    created = models.DateTimeField(db_default=Now())

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["debit", "id"], name="ledger_transfer_debit"),
            models.Index(fields=["credit", "id"], name="ledger_transfer_credit"),
            models.Index(
                fields=["reverses"],
                condition=Q(reverses__isnull=False),
                name="ledger_transfer_reverses",
            ),
        ]
        constraints: ClassVar = [
            # As a constraint: unique=True would make a second index, for LIKE.
            models.UniqueConstraint(fields=["key"], name="ledger_transfer_one_a_key"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="ledger_transfer_amount"),
            models.CheckConstraint(
                condition=~Q(debit=F("credit")), name="ledger_transfer_two_accounts"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {format_credits(self.amount)}"


class Grant(models.Model):
    """A lot of credits in a wallet. Drawn down by priority, then soonest expiry, then oldest."""

    class Kind(models.TextChoices):
        ALLOWANCE = "allowance", "plan allowance"
        PURCHASE = "purchase", "purchase"
        PROMOTION = "promotion", "promotion"
        REFUND = "refund", "refund"

    account = models.ForeignKey(Account, models.PROTECT, related_name="grants", db_index=False)
    amount = models.BigIntegerField()
    remaining = models.BigIntegerField()
    revoked = models.BigIntegerField(db_default=0)
    # Expired and not yet set against a revocation: nobody owes for credits that ran out unused.
    lapsed = models.BigIntegerField(db_default=0)
    kind = models.CharField(max_length=20, choices=Kind)
    priority = models.SmallIntegerField()
    expires_at = models.DateTimeField(null=True, blank=True)
    transfer = models.ForeignKey(Transfer, models.PROTECT, related_name="grants")
    created = models.DateTimeField(db_default=Now())
    # The partial indexes look at this instead of ``remaining``: it seldom changes, so drawing on
    # a lot stays a heap-only update that touches no index.
    exhausted = models.GeneratedField(
        expression=Q(remaining=0),  # type: ignore[arg-type]
        output_field=models.BooleanField(),
        db_persist=True,
    )

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["account"], condition=Q(exhausted=False), name="ledger_grant_live"
            ),
            models.Index(
                fields=["expires_at"],
                condition=Q(exhausted=False, expires_at__isnull=False),
                name="ledger_grant_due",
            ),
            models.Index(fields=["account", "id"], name="ledger_grant_account"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(remaining__gte=0) & Q(remaining__lte=F("amount")),
                name="ledger_grant_remaining",
            )
        ]

    def __str__(self) -> str:
        return (
            f"{self.get_kind_display()}, {format_credits(self.remaining)} "
            f"of {format_credits(self.amount)} left"
        )


class Hold(models.Model):
    """Credits reserved before work. It ends exactly once.

    ``checkpoint`` is what is known so far of the work's cost, ``{"charge": microcredits, …}``;
    while it is empty nothing is owed. A hold whose ``lease_until`` has passed is ended by the
    sweeper: captured at its checkpoint, or released without one.
    """

    class State(models.TextChoices):
        OPEN = "open", "open"
        CAPTURED = "captured", "captured"  # open -> captured
        RELEASED = "released", "released"  # open -> released

    id = models.UUIDField(primary_key=True, editable=False)
    account = models.ForeignKey(Account, models.PROTECT, db_index=False)
    kind = models.CharField(max_length=20, help_text="who ends it: call, job, api")
    amount = models.BigIntegerField()
    captured = models.BigIntegerField(db_default=0)
    state = models.CharField(max_length=10, choices=State, db_default=State.OPEN)
    lease_until = models.DateTimeField()
    checkpoint = models.JSONField(null=True, blank=True)
    metadata = models.JSONField(default=dict)
    created = models.DateTimeField(db_default=Now())
    ended = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes: ClassVar = [
            # The lease is left out, so that renewing it touches no index; there are few open holds.
            models.Index(fields=["account"], condition=Q(state="open"), name="ledger_hold_open"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(amount__gte=0) & Q(captured__gte=0), name="ledger_hold_amounts"
            ),
            # Ended and captured say the same as the state.
            models.CheckConstraint(
                condition=Q(state="open", ended__isnull=True, captured=0)
                | Q(state="captured", ended__isnull=False, captured__gt=0)
                | Q(state="released", ended__isnull=False, captured=0),
                name="ledger_hold_state",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id} ({self.state})"


class IdempotencyKey(models.Model):
    """What a verb answered to a key: repeated to the same input, refused to another."""

    key = models.CharField(max_length=255, primary_key=True)
    verb = models.CharField(max_length=20)
    input = models.JSONField()
    result = models.JSONField()
    created = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.verb} {self.key}"


class Reconciliation(models.Model):
    """One run of ``reconcile``: what was counted, and each violation found, in words."""

    created = models.DateTimeField(db_default=Now())
    seconds = models.DecimalField(max_digits=10, decimal_places=3)
    counts = models.JSONField()
    violations = models.JSONField()

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"{self.created:%Y-%m-%d %H:%M} {len(self.violations)} violations"
