"""Queued work, and what each of its parts asks, costs and answers.

These models are for reading, and for the migrations: what changes a job is in ``jobs/sql``, and is
called by ``jobs.verbs``.
"""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models import User
from common.ids import uuid7
from ledger.models import Account


class Job(models.Model):
    """Work in the queue, or done. Amounts are microcredits, sums over its items.

    A worker holds a job by ``lease_until`` and ``token``: whoever writes names the token, so that
    one whose lease ran out changes nothing any more. ``deadline`` is when a job that has not ended
    fails; its holds' leases end with it. ``key`` is the caller's Idempotency-Key and ``request``
    the SHA-256 of what was asked with it. A retry is another job, which names the one that failed.
    """

    class State(models.TextChoices):
        QUEUED = "queued", "queued"
        RUNNING = "running", "running"  # queued -> running, and back when it is tried again
        DONE = "done", "done"  # running -> done
        FAILED = "failed", "failed"  # queued or running -> failed
        CANCELED = "canceled", "canceled"  # queued or running -> canceled

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, models.CASCADE, db_index=False, related_name="jobs")
    account = models.ForeignKey(Account, models.PROTECT, db_index=False, related_name="+")
    kind = models.CharField(max_length=30)
    state = models.CharField(max_length=10, choices=State)
    total = models.IntegerField()
    done = models.IntegerField(db_default=0)
    failed = models.IntegerField(db_default=0)
    held = models.BigIntegerField(db_default=0)
    spent = models.BigIntegerField(db_default=0)
    error = models.JSONField(null=True)
    attempts = models.IntegerField(db_default=0)
    not_before = models.DateTimeField()
    lease_until = models.DateTimeField(null=True)
    token = models.UUIDField(null=True)
    cancel_requested_at = models.DateTimeField(null=True)
    webhook = models.TextField(db_default="")
    key = models.CharField(max_length=255, null=True)  # noqa: DJ001  NULLs are no duplicates
    request = models.BinaryField(null=True)
    retried_from = models.ForeignKey(
        "self", models.SET_NULL, null=True, db_index=False, related_name="retries"
    )
    created = models.DateTimeField(db_default=Now())
    started = models.DateTimeField(null=True)
    finished = models.DateTimeField(null=True)
    deadline = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["-created", "-id"]
        indexes: ClassVar = [
            models.Index(fields=["user", "-created", "-id"], name="jobs_job_by_user"),
            models.Index(fields=["user"], condition=Q(finished__isnull=True), name="jobs_job_open"),
            models.Index(fields=["created"], condition=Q(state="queued"), name="jobs_job_queued"),
            models.Index(fields=["created"], condition=Q(state="running"), name="jobs_job_running"),
            models.Index(
                fields=["finished"], condition=Q(finished__isnull=False), name="jobs_job_finished"
            ),
            models.Index(
                fields=["retried_from"],
                condition=Q(retried_from__isnull=False),
                name="jobs_job_retries",
            ),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "key"], name="jobs_job_one_a_key"),
            # Ended says the same as the state.
            models.CheckConstraint(
                condition=Q(state__in=["queued", "running"], finished__isnull=True)
                | Q(state__in=["done", "failed", "canceled"], finished__isnull=False),
                name="jobs_job_ended",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id} ({self.state})"

    @property
    def has_ended(self) -> bool:
        return self.finished is not None

    @property
    def progress(self) -> int:
        """How much of it is over, percent."""
        if self.has_ended:
            return 100
        return 100 * (self.done + self.failed) // self.total if self.total else 0


class Item(models.Model):
    """One paid call of a job; ``call`` is its hold's id, and its receipt's.

    ``input`` and ``result`` are JSON as text, since jsonb can't hold all that JSON can. What was
    asked is forgotten when the job is done or canceled; a ``file`` in the storage stands for a
    large result. ``lost`` counts the workers that died at it, ``absorbed`` is what attempts that
    came to nothing are known to have cost the operator.
    """

    class State(models.TextChoices):
        QUEUED = "queued", "queued"
        RUNNING = "running", "running"
        DONE = "done", "done"
        FAILED = "failed", "failed"
        CANCELED = "canceled", "canceled"

    job = models.ForeignKey(Job, models.CASCADE, db_index=False, related_name="items")
    place = models.IntegerField()
    call = models.UUIDField()
    state = models.CharField(max_length=10, choices=State)
    input = models.TextField(null=True)  # noqa: DJ001  forgotten is not empty
    output_tokens = models.BigIntegerField()
    held = models.BigIntegerField()
    spent = models.BigIntegerField(db_default=0)
    lost = models.IntegerField(db_default=0)
    absorbed = models.BigIntegerField(db_default=0)
    result = models.TextField(null=True)  # noqa: DJ001
    file = models.CharField(max_length=200, db_default="")
    bytes = models.BigIntegerField(db_default=0)
    error = models.JSONField(null=True)

    class Meta:
        ordering: ClassVar = ["place"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["job", "place"], name="jobs_item_one_a_place"),
            models.UniqueConstraint(fields=["call"], name="jobs_item_one_a_call"),
        ]

    def __str__(self) -> str:
        return f"{self.job_id} {self.place} ({self.state})"


class Delivery(models.Model):
    """The webhook that tells of a job's end; it is made in the commit that ends the job."""

    class State(models.TextChoices):
        PENDING = "pending", "pending"
        DELIVERED = "delivered", "delivered"  # pending -> delivered
        FAILED = "failed", "given up"  # pending -> failed

    id = models.UUIDField(primary_key=True, editable=False)
    job = models.OneToOneField(Job, models.CASCADE, related_name="delivery")
    state = models.CharField(max_length=10, choices=State)
    attempts = models.IntegerField(db_default=0)
    next_at = models.DateTimeField()
    problem = models.CharField(max_length=200, db_default="")
    created = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "deliveries"
        indexes: ClassVar = [
            models.Index(
                fields=["next_at"], condition=Q(state="pending"), name="jobs_delivery_due"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.job_id} ({self.state})"


class WebhookSecret(models.Model):
    """What a user's webhooks are signed with, encrypted (``accounts.crypto``)."""

    user = models.OneToOneField(User, models.CASCADE, related_name="+")
    sealed = models.TextField()
    created = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return str(self.user_id)
