"""What staff type to move credits. Each form is confirmed before it counts."""

from typing import Any

from django import forms
from django.conf import settings
from django.utils import timezone
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminSingleDateWidget

from accounts.models import User
from common.admin import ConfirmedForm, CreditsFormField, reason_field
from common.money import format_credits
from ledger.models import Grant

KINDS = [
    (Grant.Kind.PROMOTION, "promotion (a gift, or goodwill)"),
    (Grant.Kind.PURCHASE, "purchase (paid for outside Stripe)"),
]


class GrantForm(ConfirmedForm):
    """Credits for somebody: how many, why, and until when."""

    amount = CreditsFormField(least=1, label="Amount", help_text="credits, such as 5 or 0.25")
    kind = forms.ChoiceField(choices=KINDS, widget=UnfoldAdminSelectWidget)
    reason = reason_field()
    expires = forms.DateField(
        required=False,
        label="Good until",
        help_text="the first day (UTC) on which what is left is gone; empty: they don't expire",
        widget=UnfoldAdminSingleDateWidget,
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user

    def clean_expires(self) -> Any:
        day = self.cleaned_data["expires"]
        if day and day <= timezone.now().date():
            raise forms.ValidationError("This day has come already.")
        return day

    def summary(self) -> str:
        amount = format_credits(self.cleaned_data["amount"])
        return f"{self.user.email} gets {amount} {settings.CREDIT_NAME}."


class RefundForm(ConfirmedForm):
    """Credits back for one call."""

    amount = CreditsFormField(least=1, label="Amount", help_text="credits, at most what is left")
    reason = reason_field()

    def __init__(self, *args: Any, left: int, email: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.left = left
        self.email = email
        self.fields["amount"].initial = left

    def clean_amount(self) -> int:
        amount = int(self.cleaned_data["amount"])
        if amount > self.left:
            raise forms.ValidationError(
                f"At most {format_credits(self.left)} credits are left to refund."
            )
        return amount

    def summary(self) -> str:
        amount = format_credits(self.cleaned_data["amount"])
        return f"{self.email} gets {amount} {settings.CREDIT_NAME} back."
