"""Jobs in the admin: how many are where, for how long, and what can be done about one. What was
asked and answered is their owners', and is not shown."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
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
from jobs import dispatch, verbs
from jobs.models import Delivery, Item, Job

STATES = {
    Job.State.QUEUED: "info", Job.State.RUNNING: "warning", Job.State.DONE: "success",
    Job.State.FAILED: "danger", Job.State.CANCELED: "info",
}  # fmt: skip


class CancelForm(ConfirmedForm):
    def summary(self) -> str:
        return "The job ends, and what is held for it is released."


class TryNowForm(ConfirmedForm):
    def summary(self) -> str:
        return "The job is tried at once instead of after its pause."


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
    actions_detail = ("cancel", "try_now")
    inlines = (ItemInline, DeliveryInline)
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("id", "kind", "owner", "state_", "age", "progress_", "problem")}),
        ("Money, credits", {"fields": ("held_", "spent_")}),
        ("Work", {"fields": ("attempts", "not_before", "lease_until", "cancel_requested_at",
                             "created", "started", "finished", "deadline", "webhook")}),
    )  # fmt: skip
    readonly_fields = ("owner", "state_", "age", "progress_", "problem", "held_", "spent_")
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

    @action(description="Cancel", url_path="cancel", permissions=["manage"], icon="cancel")
    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        job: Any = self.get_object(request, object_id)
        return confirm(
            request,
            model_admin=self,
            target=job,
            allowed=self.has_manage_permission(request),
            title="Cancel a job",
            form_class=CancelForm,
            act=lambda _form: cancel(job),
        )

    @action(description="Try now", url_path="try-now", permissions=["manage"], icon="replay")
    def try_now(self, request: HttpRequest, object_id: str) -> HttpResponse:
        job: Any = self.get_object(request, object_id)
        return confirm(
            request,
            model_admin=self,
            target=job,
            allowed=self.has_manage_permission(request),
            title="Try a job now",
            form_class=TryNowForm,
            act=lambda _form: try_now(job),
        )


def cancel(job: Job) -> str:
    """Cancel a job; what was done, in words. Raises ``Conflict`` for one that has ended."""
    if job.has_ended:
        raise Conflict("The job has ended already.")
    state = verbs.cancel(job=job.pk)
    events.changed(job.user_id)
    events.publish(job.user_id, "job", {"id": str(job.pk), "state": state})
    return "Canceled." if state == Job.State.CANCELED else "It is being canceled."


def try_now(job: Job) -> str:
    """Have a job tried that waits for its next attempt. Raises ``Conflict`` for another: what one
    that has ended asked is forgotten, and only its owner can ask it again."""
    if not verbs.hurry(job=job.pk):
        raise Conflict("Only a job that is queued can be tried now.")
    dispatch.hint()
    return "It is tried now."
