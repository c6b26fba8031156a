"""Plans with their prices, and who has which."""

from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html_join
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from accounts.admin import SearchedByEmail
from billing import operations
from billing.admin.prices import Synced, price_rows, standing_of, subscribers_at_other_prices
from billing.admin.shown import STATES
from billing.models import Entitlement, Plan
from common.admin import (
    ConfirmedForm,
    CreditsFormField,
    MoneyFormField,
    ReadOnlyAdmin,
    confirm,
    credits,
    link_to,
)
from common.errors import FareboxError
from common.money import format_money


class PlanForm(forms.ModelForm):
    """Amounts are typed as credits and money; there is always exactly one default plan."""

    monthly_allowance = CreditsFormField(help_text="credits a period, such as 100 or 0.5")
    trial_allowance = CreditsFormField(
        required=False, help_text="credits for the trial; they expire with it"
    )
    price = MoneyFormField(required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "trial_days" in self.fields:
            self.fields["trial_days"].required = False
            self.fields["trial_days"].help_text = "empty or 0: no trial"
        if "price" in self.fields:
            self.fields["price"].help_text = (
                f"{settings.CURRENCY.upper()} a month, such as 9.00; empty: it is not sold. A new "
                "price is for new subscribers: who has subscribed pays the older one until they "
                "change plans, or you move them on their subscription's page."
            )

    def clean_trial_days(self) -> int:
        return int(self.cleaned_data["trial_days"] or 0)

    def clean_trial_allowance(self) -> int:
        return int(self.cleaned_data["trial_allowance"] or 0)

    def clean_is_default(self) -> bool:
        wanted = bool(self.cleaned_data["is_default"])
        if self.instance.is_default and not wanted:
            raise forms.ValidationError(
                "There is always one default plan; make another plan the default instead."
            )
        return wanted

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        if found.get("is_default") and found.get("price") is not None:
            self.add_error("price", "The default plan is everybody's who has no other: it is free.")
        return found

    def _get_validation_exclusions(self) -> set[str]:
        """Not "one default plan": saving one as the default takes it from the other."""
        usual = super()._get_validation_exclusions()  # type: ignore[misc]
        return {*usual, "is_default"}


class SyncForm(ConfirmedForm):
    """Nothing is typed; what would be done is listed on the page that asks once more."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lines: list[str] = []

    def clean(self) -> dict[str, Any]:
        try:
            operations.sync(self.lines.append, dry_run=True)
        except FareboxError as error:
            raise forms.ValidationError(error.message) from None
        return self.cleaned_data

    def summary(self) -> str:
        return format_html_join("", "<div>{}</div>", ((line,) for line in self.lines))


@admin.register(Plan)
class PlanAdmin(ModelAdmin):
    """What the operator sells. Plans are taken off sale, not deleted: users have them."""

    form = PlanForm
    list_display = ("name", "slug", "monthly", "metering", "allowance", "trial", "for_sale",
                    "is_default", "synced")  # fmt: skip
    prepopulated_fields: ClassVar[Any] = {"slug": ("name",)}
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("name", "slug", "description", "for_sale", "is_default")}),
        ("Price", {"fields": ("price", "trial_days", "trial_allowance", "at_stripe", "prices_")}),
        ("Metering", {"fields": ("metering", "monthly_allowance", "quota_requests",
                                 "quota_tokens")}),
        ("Bounds", {
            "fields": ("requests_per_minute", "tokens_per_minute", "open_calls",
                       "max_output_tokens", "allowed_models"),
            "description": "What is left empty has no limit.",
        }),
    )  # fmt: skip
    actions_detail = ("sync",)
    allowance = credits("monthly_allowance", "allowance, credits")

    @admin.display(description="price", ordering="price")
    def monthly(self, plan: Plan) -> str:
        return "-" if plan.price is None else format_money(plan.price, settings.CURRENCY)

    @admin.display(description="trial", ordering="trial_days")
    def trial(self, plan: Plan) -> str:
        return f"{plan.trial_days} days" if plan.trial_days else "-"

    @display(description="at Stripe", label={
        "in line": "success", "not in line": "danger", "demo mode": "info", "not sold": "info",
    })  # fmt: skip
    def synced(self, plan: Plan) -> str:
        return standing_of(plan).label

    @admin.display(description="at Stripe")
    def at_stripe(self, plan: Plan) -> str:
        return standing_of(plan).sentence

    @admin.display(description="prices at Stripe")
    def prices_(self, plan: Plan) -> str:
        return price_rows(plan)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return {} if obj else self.prepopulated_fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        # Programs know a plan by its slug.
        return ("slug", "at_stripe", "prices_") if obj else ("at_stripe", "prices_")

    def save_model(self, request: HttpRequest, obj: Plan, form: Any, change: bool) -> None:
        with transaction.atomic():
            if obj.is_default:
                Plan.objects.filter(is_default=True).exclude(pk=obj.pk).update(is_default=False)
            super().save_model(request, obj, form, change)
        self._say_what_follows(request, obj, form)

    def _say_what_follows(self, request: HttpRequest, plan: Plan, form: Any) -> None:
        """In a view that Django wraps in a transaction Stripe can't be asked: the button does."""
        if standing_of(plan).synced is Synced.BEHIND:
            messages.warning(
                request, f'{plan}: Stripe does not know of this yet. Press "Sync with Stripe".'
            )
        if "price" in form.changed_data and (older := subscribers_at_other_prices(plan)):
            messages.info(
                request,
                f"{older} subscribe to {plan} at another price, and go on paying that one."
                if older > 1
                else f"One user subscribes to {plan} at another price, and goes on paying that.",
            )

    def has_sync_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("billing.change_plan")

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        offered = super().get_actions_detail(request, object_id)
        return offered if settings.ENABLE_PAYMENTS else []

    @action(description="Sync with Stripe", url_path="sync", permissions=["sync"], icon="sync",
            variant=ActionVariant.PRIMARY)  # fmt: skip
    def sync(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """All plans, whichever the button was pressed for: they are one catalog."""
        plan = self.get_object(request, object_id)

        def act(form: SyncForm) -> str:
            lines: list[str] = []
            operations.sync(lines.append)
            return "Stripe is in line with the plans: " + "; ".join(lines)

        return confirm(
            request,
            model_admin=self,
            target=plan,
            allowed=self.has_sync_permission(request),
            title="Sync all plans with Stripe",
            form_class=SyncForm,
            act=act,
        )


@admin.register(Entitlement)
class EntitlementAdmin(SearchedByEmail, ReadOnlyAdmin):
    """Who has which plan, and by what; it is changed on the user's page."""

    ordering = ("-user_id",)
    list_display = ("owner", "plan_", "status_", "source", "period_end", "cancel_at",
                    "grace_until")  # fmt: skip
    list_select_related = ("user", "plan")
    list_filter = ("status", "source", "plan")
    fields = (
        "owner", "plan_", "status_", "source", "subscription", "period_start", "period_end",
        "trial_end", "cancel_at", "grace_until", "assigned_at", "updated_at",
    )  # fmt: skip
    readonly_fields = fields

    @admin.display(description="plan")
    def plan_(self, entitlement: Entitlement) -> str:
        return link_to(entitlement.plan)

    @display(description="status", label=STATES)
    def status_(self, entitlement: Entitlement) -> str:
        return entitlement.get_status_display()
