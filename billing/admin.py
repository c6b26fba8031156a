"""Plans, what each user may do, and the user's page with plan, wallet and the grant of credits."""

from datetime import UTC, datetime, time
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db import transaction
from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminSelectWidget

from accounts.admin import UserAdmin, users_whose_email_begins
from accounts.models import User
from billing import entitlements
from billing.models import Allowance, Entitlement, Plan
from common.admin import (
    ConfirmedForm,
    CreditsFormField,
    ReadOnlyAdmin,
    confirm,
    credits,
    link_to,
    reason_field,
)
from common.money import format_credits
from ledger import verbs
from ledger.forms import GrantForm
from ledger.models import Account

STATUSES = {
    "active": "success", "trialing": "info", "past due": "warning", "canceled": "danger",
    "inactive": "danger",
}  # fmt: skip


class PlanForm(forms.ModelForm):
    """Amounts are typed as credits; there is always exactly one default plan."""

    monthly_allowance = CreditsFormField(help_text="credits a period, such as 100 or 0.5")

    def clean_is_default(self) -> bool:
        wanted = bool(self.cleaned_data["is_default"])
        if self.instance.is_default and not wanted:
            raise forms.ValidationError(
                "There is always one default plan; make another plan the default instead."
            )
        return wanted

    def _get_validation_exclusions(self) -> set[str]:
        """Not "one default plan": saving one as the default takes it from the other."""
        usual = super()._get_validation_exclusions()  # type: ignore[misc]
        return {*usual, "is_default"}


@admin.register(Plan)
class PlanAdmin(ModelAdmin):
    """What the operator sells. Plans are taken off sale, not deleted: users have them."""

    form = PlanForm
    list_display = ("name", "slug", "metering", "allowance", "requests_per_minute", "open_calls",
                    "for_sale", "is_default")  # fmt: skip
    prepopulated_fields: ClassVar[Any] = {"slug": ("name",)}
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("name", "slug", "for_sale", "is_default")}),
        ("Metering", {"fields": ("metering", "monthly_allowance", "quota_requests",
                                 "quota_tokens")}),
        ("Bounds", {
            "fields": ("requests_per_minute", "open_calls", "max_output_tokens",
                       "allowed_models"),
            "description": "What is left empty has no limit.",
        }),
    )  # fmt: skip
    allowance = credits("monthly_allowance", "allowance, credits")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return {} if obj else self.prepopulated_fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("slug",) if obj else ()  # programs know a plan by it

    def save_model(self, request: HttpRequest, obj: Plan, form: Any, change: bool) -> None:
        with transaction.atomic():
            if obj.is_default:
                Plan.objects.filter(is_default=True).exclude(pk=obj.pk).update(is_default=False)
            super().save_model(request, obj, form, change)


class AssignPlanForm(ConfirmedForm):
    """A plan for somebody, whatever they pay for."""

    plan = forms.ModelChoiceField(Plan.objects.all(), widget=UnfoldAdminSelectWidget)
    status = forms.ChoiceField(choices=Entitlement.Status, widget=UnfoldAdminSelectWidget)
    reason = reason_field("Kept in the user's history.")

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user

    def summary(self) -> str:
        plan, status = self.cleaned_data["plan"], self.cleaned_data["status"]
        return f"{self.user.email} is on the plan {plan} from now on ({status})."


@admin.register(Entitlement)
class EntitlementAdmin(ReadOnlyAdmin):
    """Who has which plan; it is changed on the user's page."""

    ordering = ("-user_id",)
    list_display = ("owner", "plan_", "status_", "period_end", "grace_until", "updated_at")
    list_select_related = ("user", "plan")
    list_filter = ("status", "plan")
    search_fields = ("user__email",)
    search_help_text = "how the e-mail address begins"
    fields = list_display
    readonly_fields = fields

    @admin.display(description="user")
    def owner(self, entitlement: Entitlement) -> str:
        return link_to(entitlement.user)

    @admin.display(description="plan")
    def plan_(self, entitlement: Entitlement) -> str:
        return link_to(entitlement.plan)

    @display(description="status", label=STATUSES)
    def status_(self, entitlement: Entitlement) -> str:
        return entitlement.get_status_display()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Entitlement], search_term: str
    ) -> tuple[QuerySet[Entitlement], bool]:
        if search_term:
            queryset = queryset.filter(user__in=users_whose_email_begins(search_term))
        return queryset, False


@admin.register(User)
class AccountHolderAdmin(UserAdmin):
    """A user with plan and wallet; credits are granted and plans assigned here."""

    list_display: Any = (
        "email",
        "plan",
        "available",
        "is_active",
        "is_staff",
        "date_joined",
    )
    readonly_fields: ClassVar[Any] = (
        *UserAdmin.readonly_fields,
        "plan_now",
        "wallet_now",
        "allowance_now",
        "elsewhere",
    )
    actions_detail: Any = ("grant_credits", "assign_plan", *UserAdmin.actions_detail)
    fieldsets: ClassVar[Any] = (
        UserAdmin.fieldsets[0],
        ("Plan and wallet", {"fields": ("plan_now", "wallet_now", "allowance_now", "elsewhere")}),
        *UserAdmin.fieldsets[1:],
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        wallets = Account.objects.filter(owner=OuterRef("pk"), kind=Account.Kind.WALLET)
        own = Entitlement.objects.filter(user=OuterRef("pk")).values("plan__name")
        usual = Plan.objects.filter(is_default=True).values("name")
        return (
            super()
            .get_queryset(request)
            .annotate(
                wallet_posted=Subquery(wallets.values("posted")),
                wallet_held=Subquery(wallets.values("held")),
                plan_name=Coalesce(Subquery(own), Subquery(usual)),
            )
        )

    @admin.display(description="plan")
    def plan(self, user: Any) -> str:
        return str(user.plan_name)

    @admin.display(description="available, credits")
    def available(self, user: Any) -> str:
        amount = (user.wallet_posted or 0) - (user.wallet_held or 0)
        return format_html("<code>{}</code>", format_credits(amount))

    @admin.display(description="plan")
    def plan_now(self, user: User) -> str:
        now = entitlements.current(user)
        until = f", until {now.period_end:%Y-%m-%d}" if now.period_end else ""
        return format_html("{} ({}{})", link_to(now.plan), now.get_status_display(), until)

    @admin.display(description="wallet, credits")
    def wallet_now(self, user: User) -> str:
        wallet = Account.objects.filter(owner=user, kind=Account.Kind.WALLET).first()
        if wallet is None:
            return "none yet"
        shown = {
            "available": wallet.available, "held": wallet.held, "posted": wallet.posted,
        } | ({"owed (frozen)": wallet.owed} if wallet.owed else {})  # fmt: skip
        return format_html_join(
            " · ", "<code>{}</code> {}", ((format_credits(n), name) for name, n in shown.items())
        )

    @admin.display(description="free plan's allowance")
    def allowance_now(self, user: User) -> str:
        own = Allowance.objects.filter(user=user).first()
        if own is None:
            return "none: made by the operator"
        if own.claimed_at is None:
            return "not granted: no verified address yet, had before, or too many from one network"
        return f"granted each month since {own.claimed_at:%Y-%m-%d}"

    @admin.display(description="more")
    def elsewhere(self, user: User) -> str:
        pages = {
            "calls": "usage_call", "transfers": "ledger_transfer", "lots": "ledger_grant",
            "open holds": "ledger_hold", "months": "usage_monthlyusage",
        }  # fmt: skip
        query = urlencode({"q": user.email})
        return format_html_join(
            " · ",
            '<a class="text-primary-700 dark:text-primary-400 underline" href="{}?{}">{}</a>',
            ((reverse(f"admin:{page}_changelist"), query, name) for name, page in pages.items()),
        )

    def has_grant_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("ledger.add_grant")

    def has_assign_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("billing.change_entitlement")

    @action(
        description="Grant credits",
        url_path="grant",
        permissions=["grant"],
        icon="add_card",
        variant=ActionVariant.PRIMARY,
    )
    def grant_credits(self, request: HttpRequest, object_id: str) -> HttpResponse:
        user: Any = self.get_object(request, object_id)
        return confirm(
            request,
            model_admin=self,
            target=user,
            allowed=self.has_grant_permission(request),
            title="Grant credits",
            form_class=GrantForm,
            act=lambda form: grant(user, form, request.user),
            user=user,
        )

    @action(
        description="Assign plan",
        url_path="plan",
        permissions=["assign"],
        icon="workspace_premium",
    )
    def assign_plan(self, request: HttpRequest, object_id: str) -> HttpResponse:
        user: Any = self.get_object(request, object_id)

        def act(form: AssignPlanForm) -> str:
            plan, status = form.cleaned_data["plan"], form.cleaned_data["status"]
            entitlements.assign_plan(user=user, plan=plan, status=status)
            return f"{user} is on the plan {plan} ({status}): {form.cleaned_data['reason']}"

        return confirm(
            request,
            model_admin=self,
            target=user,
            allowed=self.has_assign_permission(request),
            title="Assign a plan",
            form_class=AssignPlanForm,
            act=act,
            user=user,
        )


def grant(user: User, form: GrantForm, actor: Any) -> str:
    """Grant what a valid form says, once for its token; the transfer names ``actor``."""
    said = form.cleaned_data
    day = said["expires"]
    done = verbs.grant(
        account=verbs.wallet_of(user=user.pk),
        amount=said["amount"],
        kind=said["kind"],
        key=f"admin:grant:{said['token']}",
        expires_at=datetime.combine(day, time(), UTC) if day else None,
        metadata={"reason": said["reason"], "actor": actor.pk},
    )
    return (
        f"Granted {format_credits(said['amount'])} credits to {user.email} "
        f"(transfer {done.transfer}): {said['reason']}"
    )
