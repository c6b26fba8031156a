"""Models and their prices, months; and ``usage.admin_calls``."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from unfold.admin import ModelAdmin, TabularInline
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from accounts.admin import users_whose_email_begins
from common.admin import ReadOnlyAdmin, credits, link_to
from common.money import format_credits
from ledger.admin import pretty
from usage import (  # the first two register themselves
    admin_calls,  # noqa: F401
    admin_providers,  # noqa: F401
    providers,
    sync,
)
from usage.models import AIModel, ModelRoute, MonthlyUsage, Price


class OverrideField(forms.JSONField):
    """JSON, of which nothing is shown as nothing, not as ``null``."""

    widget = UnfoldAdminTextareaWidget(attrs={"rows": 4})

    def prepare_value(self, value: Any) -> Any:
        return "" if value is None else super().prepare_value(value)


class AIModelForm(forms.ModelForm):
    """Refuses an override that no price could be made of, and a provider that is none."""

    provider = forms.ChoiceField(
        widget=UnfoldAdminSelectWidget,
        help_text="whose price list it is in, and who answers unless there are routes",
    )
    override = OverrideField(
        required=False,
        help_text="US dollars per million tokens in place of the price list's, such as "
        '{"input": "3", "cache_read": "0.3", "output": "15"}; "input_audio" is the price of sound',
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = dict.fromkeys([*providers.names(), self.instance.provider or "openai"])
        self.fields["provider"].choices = [(name, name) for name in known]  # type: ignore[attr-defined]

    def clean_override(self) -> Any:
        override = self.cleaned_data["override"]
        if override is not None:
            try:
                sync.dollars_of(override)
            except ValueError as error:
                raise forms.ValidationError(str(error)) from None
        return override


class RouteFormSet(forms.BaseInlineFormSet):
    """Refuses a provider that speaks another protocol than the model is asked in."""

    def clean(self) -> None:
        super().clean()
        spoken = self.instance.protocol
        for form in self.forms:
            provider = getattr(form, "cleaned_data", {}).get("provider")
            if provider and spoken not in {AIModel.Protocol.ANY, provider.kind}:
                form.add_error("provider", f"{provider} does not speak {spoken}'s protocol.")


class RouteInline(TabularInline):
    model = ModelRoute
    formset = RouteFormSet
    extra = 0
    fields = ("position", "provider", "upstream_name")
    verbose_name_plural = (
        "routes: who answers, in the order they are tried; none: the provider above"
    )


@admin.register(AIModel)
class AIModelAdmin(ModelAdmin):
    """Models: switched off, marked up, priced by hand, bounded. A change is a new price version."""

    form = AIModelForm
    inlines = (RouteInline,)
    list_display = ("name", "provider", "protocol", "enabled", "markup", "has_override")
    list_filter = ("enabled", "provider")
    list_per_page = 100
    search_fields = ("name",)
    readonly_fields = ("price_now", "created")
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("name", "provider", "protocol", "enabled")}),
        ("Price", {"fields": ("markup", "override", "price_now")}),
        ("Bounds, tokens", {"fields": ("context_window", "max_output_tokens")}),
    )

    @admin.display(description="override", boolean=True)
    def has_override(self, model: AIModel) -> bool:
        return model.override is not None

    @admin.display(description="price in force")
    def price_now(self, model: AIModel) -> str:
        price = model.prices.order_by("-id").first()
        return rates_of(price) if price else "none: calls are refused"

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: AIModel, form: Any, change: bool) -> None:
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            sync.sync_models()


def rates_of(price: Price) -> str:
    """What a million tokens cost the user and the operator, in credits, by kind of token."""
    cost = price.cost_rates["base"]
    rows = [
        (bucket.replace("_", " "), format_credits(rate), format_credits(cost.get(bucket, 0)))
        for bucket, rate in price.rates["base"].items()
    ]
    table = format_html_join(
        "", "<tr><td>{}</td><td><code>{}</code></td><td><code>{}</code></td></tr>", rows
    )
    return format_html(
        '<table class="fb-table"><thead><tr><th>credits per million</th>'
        "<th>user pays</th><th>provider asks</th></tr></thead><tbody>{}</tbody></table>",
        table,
    )


@admin.register(Price)
class PriceAdmin(ReadOnlyAdmin):
    """Every price there ever was; a call keeps the one it began with."""

    ordering = ("-id",)
    list_display = ("id", "model_", "source", "created")
    list_select_related = ("model",)
    search_fields = ("model__name",)
    fields = ("id", "model_", "source", "created", "base", "rates_", "cost_rates_")
    readonly_fields = fields

    @admin.display(description="model")
    def model_(self, price: Price) -> str:
        return link_to(price.model)

    @admin.display(description="price")
    def base(self, price: Price) -> str:
        return rates_of(price)

    @admin.display(description="rates, microcredits per million tokens")
    def rates_(self, price: Price) -> str:
        return pretty(price.rates)

    @admin.display(description="provider's rates, the same")
    def cost_rates_(self, price: Price) -> str:
        return pretty(price.cost_rates)


@admin.register(MonthlyUsage)
class MonthlyUsageAdmin(ReadOnlyAdmin):
    ordering = ("-id",)
    list_display = (
        "month", "owner", "api_key", "requests", "input_tokens", "output_tokens", "spent_",
    )  # fmt: skip
    list_select_related = ("user", "api_key")
    search_fields = ("month",)
    search_help_text = "a month such as 2026-11, or how the user's e-mail address begins"
    fields = list_display
    readonly_fields = fields
    spent_ = credits("spent")

    @admin.display(description="user")
    def owner(self, row: MonthlyUsage) -> str:
        return link_to(row.user)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[MonthlyUsage], search_term: str
    ) -> tuple[QuerySet[MonthlyUsage], bool]:
        term = search_term.strip()
        if term[:1].isdigit() and "@" not in term:
            return queryset.filter(month=term), False
        if term:
            return queryset.filter(user__in=users_whose_email_begins(term)), False
        return queryset, False
