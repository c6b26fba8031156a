"""Calls in the admin: to search, to understand, to refund."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from django.contrib import admin
from django.db import transaction
from django.db.models import Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.decorators import action, display

from accounts.admin import users_whose_email_begins
from common.admin import ReadOnlyAdmin, confirm, credits, is_uuid, link_to
from common.money import format_credits
from ledger import verbs
from ledger.forms import RefundForm
from ledger.models import Transfer
from usage.models import AIModel, Call

STATUSES = {
    Call.Status.COMPLETED: "success", Call.Status.CANCELED: "info",
    Call.Status.INTERRUPTED: "warning", Call.Status.SWEPT: "warning", Call.Status.FAILED: "danger",
}  # fmt: skip


def first_id_at(moment: datetime) -> uuid.UUID:
    """The lowest version 7 UUID of a moment: ids sort by time, and their index serves dates."""
    milliseconds = int(moment.timestamp() * 1000)
    return uuid.UUID(int=milliseconds << 80)


class Began(admin.SimpleListFilter):
    """When a call began, by its id: the primary key is in order of time."""

    title = "began"
    parameter_name = "began"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("hour", "in the last hour"), ("day", "in the last 24 hours"),
                ("week", "in the last 7 days"), ("month", "this month"),
                ("last_month", "last month")]  # fmt: skip

    def queryset(self, request: HttpRequest, queryset: QuerySet[Call]) -> QuerySet[Call]:
        now = timezone.now().astimezone(UTC)
        month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        before = (month - timedelta(days=1)).replace(day=1)
        since = {
            "hour": now - timedelta(hours=1), "day": now - timedelta(days=1),
            "week": now - timedelta(days=7), "month": month, "last_month": before,
        }.get(self.value() or "")  # fmt: skip
        if since is None:
            return queryset
        queryset = queryset.filter(pk__gte=first_id_at(since))
        if self.value() == "last_month":
            queryset = queryset.filter(pk__lt=first_id_at(month))
        return queryset


class ByModel(admin.SimpleListFilter):
    """One of the models there are; asking the calls themselves would read all of them."""

    title = "model"
    parameter_name = "model"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        enabled = AIModel.objects.filter(enabled=True).values_list("name", flat=True)
        return [(name, name) for name in enabled]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Call]) -> QuerySet[Call]:
        return queryset.filter(model=self.value()) if self.value() else queryset


@admin.register(Call)
class CallAdmin(ReadOnlyAdmin):
    """Every call that has ended: what it held, what it cost, how it ended."""

    ordering = ("-id",)
    list_display = ("id", "started", "owner", "model", "status_", "spent_", "tokens")
    list_select_related = ("user",)
    list_filter = (Began, "status", ByModel)
    search_fields = ("id",)
    search_help_text = "a call's id, a model's name, or how the user's e-mail address begins"
    actions_detail = ("refund",)
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("id", "owner", "key", "status_", "error", "started", "finished",
                           "first_event_ms", "streamed")}),
        ("Money, credits", {"fields": ("held_", "spent_", "written_off_", "refunded", "cost_",
                                       "by_quota", "estimated", "version")}),
        ("Tokens", {"fields": ("model", "provider", "protocol", "input_tokens", "cached_tokens",
                               "cache_write_tokens", "cache_write_1h_tokens",
                               "output_tokens", "reasoning_tokens")}),
    )  # fmt: skip
    readonly_fields = ("owner", "key", "status_", "held_", "spent_", "written_off_", "cost_",
                       "refunded", "version")  # fmt: skip
    held_, spent_ = credits("held"), credits("spent")
    written_off_, cost_ = credits("written_off"), credits("cost", "provider's price")

    @admin.display(description="user")
    def owner(self, call: Call) -> str:
        return link_to(call.user)

    @admin.display(description="tokens in, out")
    def tokens(self, call: Call) -> str:
        return f"{call.input_tokens:,} → {call.output_tokens:,}"

    @admin.display(description="API key")
    def key(self, call: Call) -> str:
        return link_to(call.api_key)

    @admin.display(description="price")
    def version(self, call: Call) -> str:
        return link_to(call.price)

    @display(description="status", label=STATUSES)
    def status_(self, call: Call) -> str:
        return call.status

    @admin.display(description="refunded")
    def refunded(self, call: Call) -> str:
        return format_credits(sum(refunded for _, refunded in captures_of(call)))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Call], search_term: str
    ) -> tuple[QuerySet[Call], bool]:
        term = search_term.strip()
        if call_id := is_uuid(term):
            return queryset.filter(pk=call_id), False
        if "@" in term:
            return queryset.filter(user__in=users_whose_email_begins(term)), False
        if term:
            by_email = Q(user__in=users_whose_email_begins(term))
            return queryset.filter(Q(model=term) | by_email), False
        return queryset, False

    def has_refund_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("ledger.add_transfer")

    @action(description="Refund", url_path="refund", permissions=["refund"], icon="undo")
    def refund(self, request: HttpRequest, object_id: str) -> HttpResponse:
        call: Any = self.get_object(request, object_id)
        left = sum(capture.amount - back for capture, back in captures_of(call)) if call else 0
        return confirm(
            request,
            model_admin=self,
            target=call,
            allowed=self.has_refund_permission(request),
            title="Refund a call",
            form_class=RefundForm,
            act=lambda form: refund(call, form, request.user),
            left=left,
            email=str(call.user) if call else "",
        )


def captures_of(call: Call) -> list[tuple[Transfer, int]]:
    """What a call took, usage that came late included, and how much of each went back since."""
    keys = (f"call:{call.pk}", f"call:{call.pk}:late")
    kinds = (Transfer.Kind.CAPTURE, Transfer.Kind.ADJUSTMENT)
    takings = Transfer.objects.filter(key__in=keys, kind__in=kinds).order_by("id")
    back = Sum("reversals__amount", filter=Q(reversals__kind=Transfer.Kind.REFUND), default=0)
    return [(taking, int(taking.back)) for taking in takings.annotate(back=back)]


def refund(call: Call, form: RefundForm, actor: Any) -> str:
    """Give back what a valid form says, once for its token, from the first taking on."""
    said = form.cleaned_data
    left = said["amount"]
    why = {"reason": said["reason"], "actor": actor.pk}
    with transaction.atomic():
        for capture, back in captures_of(call):
            if part := min(left, capture.amount - back):
                verbs.refund(
                    transfer=capture.pk,
                    amount=part,
                    key=f"admin:refund:{said['token']}:{capture.pk}",
                    metadata={**why, "call": str(call.pk)},
                )
                left -= part
    return f"Refunded {format_credits(said['amount'])} credits: {said['reason']}"
