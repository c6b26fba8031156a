"""What credits cost by quantity, with what that comes to."""

from decimal import Decimal
from itertools import pairwise
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminDecimalFieldWidget

from billing import pricing
from billing.models import CreditTier
from common.errors import FareboxError
from common.money import format_money

QUANTITIES = (5, 50, 500, 5_000)


class TierForm(forms.ModelForm):
    """A tier that could never be reached is refused."""

    price = forms.DecimalField(
        max_digits=12,
        decimal_places=4,
        min_value=Decimal("0.0001"),
        localize=False,
        widget=UnfoldAdminDecimalFieldWidget,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "price" in self.fields:
            currency = settings.CURRENCY.upper()
            self.fields["price"].help_text = f"of one credit in {currency}, such as 0.0950"
        if "from_quantity" in self.fields:
            self.fields["from_quantity"].help_text = (
                f"whole credits; an order is {settings.CREDITS_LEAST:,} to "
                f"{settings.CREDITS_MOST:,} (CREDITS_LEAST, CREDITS_MOST)"
            )

    def clean_from_quantity(self) -> int:
        quantity = int(self.cleaned_data["from_quantity"])
        if not 1 <= quantity <= settings.CREDITS_MOST:
            raise forms.ValidationError(
                f"From 1 to {settings.CREDITS_MOST:,}: nobody can buy more at a time."
            )
        return quantity


@admin.register(CreditTier)
class CreditTierAdmin(ModelAdmin):
    """All credits of an order cost what the tier of its quantity says."""

    form = TierForm
    ordering = ("from_quantity",)
    list_display = ("from_", "each")
    list_before_template = "admin/tiers.html"

    @admin.display(description="from, credits", ordering="from_quantity")
    def from_(self, tier: CreditTier) -> str:
        return f"{tier.from_quantity:,}"

    @admin.display(description="price of one", ordering="price")
    def each(self, tier: CreditTier) -> str:
        return f"{tier.price} {settings.CURRENCY.upper()}"

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        shown = {"previews": previews(), "rising": rising(), "below": below_tiers()}
        return super().changelist_view(request, {**(extra_context or {}), **shown})

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        for warning in rising():
            messages.warning(request, warning)


def previews() -> list[tuple[str, str]]:
    """Quantities and what each costs now; why not, where one can't be bought."""
    return [(f"{quantity:,}", _preview(quantity)) for quantity in QUANTITIES]


def _preview(quantity: int) -> str:
    try:
        price = pricing.quote(quantity)
    except FareboxError as error:
        return error.message.removeprefix("quantity: ")
    return format_money(price.amount, price.currency)


def rising() -> list[str]:
    """Where more credits cost more each: a mistake, most likely."""
    tiers = pricing.tiers_now()
    return [
        f"From {higher.start:,} credits on one costs {higher.each}, more than below ({lower.each})."
        for lower, higher in pairwise(tiers)
        if higher.each > lower.each
    ]


def below_tiers() -> str:
    """What holds where no tier does."""
    if settings.CURRENCY == "usd":
        return f"Below the lowest tier a credit costs {settings.CREDIT_PRICE_USD} USD."
    return "Below the lowest tier no credits are sold: CREDIT_PRICE_USD is in another currency."
