"""What people fill in on their pages."""

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from django import forms
from django.utils import timezone

from accounts.models import User
from accounts.verbs import SCOPES, STAFF_SCOPES
from common.money import parse_credits

SCOPE_WORDS = {
    "ai": "Make AI calls, which spend your credits",
    "read": "Read your balance, calls and usage",
    "credits": "Move other people's credits (service key)",
}
OWN_DATE = "date"


class NewKeyForm(forms.Form):
    """A new API key. ``options()`` are the arguments of ``verbs.issue_key``."""

    EXPIRY: ClassVar = [
        ("", "never"),
        ("7", "in 7 days"),
        ("30", "in 30 days"),
        ("90", "in 90 days"),
        ("365", "in a year"),
        (OWN_DATE, "on a day of my choice"),
    ]

    name = forms.CharField(
        max_length=100, strip=True, help_text="What will use it, such as the name of a computer."
    )
    scopes = forms.MultipleChoiceField(
        label="It may", initial=["ai", "read"], widget=forms.CheckboxSelectMultiple
    )
    monthly_cap = forms.CharField(
        required=False,
        max_length=20,
        label="Spends at most, a month",
        help_text="Credits in a calendar month (UTC); empty: no bound.",
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )
    expiry = forms.ChoiceField(choices=EXPIRY, required=False, label="Expires")
    expires_on = forms.DateField(
        required=False,
        label="Day it expires",
        help_text="The first day (UTC) on which it no longer works.",
        widget=forms.DateInput(attrs={"type": "date"}),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["scopes"].choices = [  # type: ignore[attr-defined]
            (name, SCOPE_WORDS[name])
            for name in SCOPES
            if user.is_staff or name not in STAFF_SCOPES
        ]

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        if not name.isprintable():
            raise forms.ValidationError("Use printable characters only.")
        return name

    def clean_monthly_cap(self) -> int | None:
        text = self.cleaned_data["monthly_cap"].strip()
        if not text:
            return None
        try:
            return parse_credits(text)
        except ValueError as error:
            raise forms.ValidationError(f"The amount {error}.") from None

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("expiry") == OWN_DATE and "expires_on" not in self.errors:
            day = cleaned.get("expires_on")
            if day is None:
                self.add_error("expires_on", "Choose a day.")
            elif day <= timezone.now().date():
                self.add_error("expires_on", "This day has come already.")
        return cleaned

    def options(self) -> dict[str, Any]:
        given = self.cleaned_data
        return {
            "name": given["name"],
            "scopes": given["scopes"],
            "monthly_cap": given["monthly_cap"],
            "expires_at": self._expires_at(),
        }

    def _expires_at(self) -> datetime | None:
        match self.cleaned_data["expiry"]:
            case "":
                return None
            case "date":
                day = self.cleaned_data["expires_on"]
                return datetime(day.year, day.month, day.day, tzinfo=UTC)
        return timezone.now() + timedelta(days=int(self.cleaned_data["expiry"]))


class LeavingForm(forms.Form):
    """The account's address, typed as a sign that deleting is meant."""

    confirm = forms.EmailField(
        label="Your e-mail address", widget=forms.EmailInput(attrs={"autocomplete": "off"})
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user

    def clean_confirm(self) -> str:
        typed = str(self.cleaned_data["confirm"]).strip().lower()
        if typed != self.user.email.lower():
            raise forms.ValidationError(f"This is not the account's address, {self.user.email}.")
        return typed
