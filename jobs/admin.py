"""Jobs in the admin: how many are where, for how long, and what can be done about one. What was
asked and answered is their owners', and is not shown."""

from collections.abc import Callable
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.timesince import timesince
from unfold.decorators import action, display

from accounts import events
from accounts.admin import users_whose_email_begins
from common.admin import (
    ConfirmedForm,
    ReadOnlyAdmin,
    ShownInline,
    confirm,
    credits,
    is_uuid,
    link_to,
)
from common.errors import Conflict
from common.money import format_credits
from jobs import dispatch, retrying, uploads, verbs
from jobs.models import Delivery, Item, Job

STATES = {
    Job.State.QUEUED: "info", Job.State.RUNNING: "warning", Job.State.DONE: "success",
    Job.State.FAILED: "danger", Job.State.CANCELED: "info",
}  # fmt: skip
ENDED = "The job has ended already."
NOT_QUEUED = "Only a job that is queued can be tried now: it waits for nothing else."


class JobForm(ConfirmedForm):
    """Says why it can't be done, before anybody is asked whether they want it."""

    def __init__(self, *, job: Job, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.job = job

    def clean(self) -> None:
        if (reason := self.obstacle()) is not None:
            raise forms.ValidationError(reason)

    def obstacle(self) -> str | None:
        raise NotImplementedError


class CancelForm(JobForm):
    def obstacle(self) -> str | None:
        return ENDED if self.job.has_ended else None

    def summary(self) -> str:
        return "The job ends, and what is held for it is released."


class TryNowForm(JobForm):
    def obstacle(self) -> str | None:
        return None if self.job.state == Job.State.QUEUED else NOT_QUEUED

    def summary(self) -> str:
        return "The job is tried at once instead of after its pause."


class RetryForm(JobForm):
    def obstacle(self) -> str | None:
        return retrying.obstacle(self.job)

    def summary(self) -> str:
        return (
            "What the job asked is queued once more, as another job of the same user's. The most "
            "that it can cost is held of their credits, at today's prices."
        )


class ItemInline(ShownInline):
    model = Item
    fields = readonly_fields = ("place", "call", "state", "held_", "spent_", "lost", "absorbed_")
    held_, spent_ = credits("held"), credits("spent")
    absorbed_ = credits("absorbed", "operator's loss")


class DeliveryInline(ShownInline):
    model = Delivery
    fields = readonly_fields = ("state", "attempts", "next_at", "problem")


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    """Every job that is kept, the newest first."""

    ordering = ("-created",)
    list_display = ("id", "kind", "owner", "state_", "age", "progress_", "attempts", "spent_")
    list_select_related = ("user",)
    list_filter = ("state", "kind")
    search_fields = ("id",)
    search_help_text = "a job's id, or how the user's e-mail address begins"
    actions_detail = ("cancel", "try_now", "retry")
    inlines = (ItemInline, DeliveryInline)
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("id", "kind", "owner", "state_", "age", "progress_", "problem",
                           "retry_of_", "retried_as_")}),
        ("Money, credits", {"fields": ("held_", "spent_")}),
        ("Work", {"fields": ("attempts", "not_before", "lease_until", "cancel_requested_at",
                             "created", "started", "finished", "deadline", "webhook_")}),
    )  # fmt: skip
    readonly_fields = ("owner", "state_", "age", "progress_", "problem", "retry_of_", "retried_as_",
                       "held_", "spent_", "webhook_")  # fmt: skip
    held_, spent_ = credits("held"), credits("spent")

    @admin.display(description="user")
    def owner(self, job: Job) -> str:
        return link_to(job.user)

    @display(description="state", label=STATES)
    def state_(self, job: Job) -> str:
        return job.state

    @admin.display(description="age", ordering="-created")
    def age(self, job: Job) -> str:
        """Since it was queued, until it ended."""
        return timesince(job.created, job.finished or timezone.now())

    @admin.display(description="progress")
    def progress_(self, job: Job) -> str:
        return f"{job.progress} %"

    @admin.display(description="error")
    def problem(self, job: Job) -> str:
        """Its code: the words may repeat what was asked."""
        return job.error["code"] if job.error else "-"

    @admin.display(description="webhook")
    def webhook_(self, job: Job) -> str:
        return format_html('<span class="fb-text">{}</span>', job.webhook) if job.webhook else "-"

    @admin.display(description="retry of")
    def retry_of_(self, job: Job) -> str:
        return link_to(job.retried_from, job.retried_from_id)

    @admin.display(description="retried as")
    def retried_as_(self, job: Job) -> str:
        return (
            format_html_join(", ", "{}", ((link_to(one, one.pk),) for one in job.retries.all()))
            or "-"
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Job], search_term: str
    ) -> tuple[QuerySet[Job], bool]:
        term = search_term.strip()
        if job_id := is_uuid(term):
            return queryset.filter(pk=job_id), False
        if term:
            return queryset.filter(user__in=users_whose_email_begins(term)), False
        return queryset, False

    def has_manage_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("jobs.change_job")

    @action(description="Cancel the job", url_path="cancel", permissions=["manage"], icon="cancel")
    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._confirm(request, object_id, "Cancel a job", CancelForm, cancel)

    @action(
        description="Skip its pause",
        url_path="try-now",
        permissions=["manage"],
        icon="fast_forward",
    )
    def try_now(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._confirm(request, object_id, "Try a job now", TryNowForm, try_now)

    @action(
        description="Retry as a new job", url_path="retry", permissions=["manage"], icon="replay"
    )
    def retry(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._confirm(request, object_id, "Retry a job that failed", RetryForm, retry)

    def _confirm(
        self,
        request: HttpRequest,
        object_id: str,
        title: str,
        form_class: type[JobForm],
        act: Callable[[Job], str],
    ) -> HttpResponse:
        job: Any = self.get_object(request, object_id)
        return confirm(
            request,
            model_admin=self,
            target=job,
            allowed=self.has_manage_permission(request),
            title=title,
            form_class=form_class,
            act=lambda _form: act(job),
            job=job,
        )


def cancel(job: Job) -> str:
    """Cancel a job; what was done, in words. Raises ``Conflict`` for one that has ended."""
    if job.has_ended:
        raise Conflict(ENDED)
    state = verbs.cancel(job=job.pk)
    events.changed(job.user_id)
    events.publish(job.user_id, "job", {"id": str(job.pk), "state": state})
    uploads.drop_if_over(job.pk, job.kind, state)
    return "Canceled." if state == Job.State.CANCELED else "It is being canceled."


def try_now(job: Job) -> str:
    """Have a job tried that waits for its next attempt. Raises ``Conflict`` for another."""
    if not verbs.hurry(job=job.pk):
        raise Conflict(NOT_QUEUED)
    dispatch.hint()
    return "It is tried now."


def retry(job: Job) -> str:
    """Queue again what a job that failed has asked. Raises what ``retrying.retry`` raises."""
    made = retrying.retry(job)
    if made.repeated:
        return f"It has been retried already, as job {made.job}."
    events.publish(job.user_id, "job", {"id": str(made.job), "state": Job.State.QUEUED.value})
    return f"Queued again as job {made.job}; {format_credits(made.held or 0)} credits are held."
