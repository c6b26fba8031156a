"""How forms and lists of the account's pages say things, whoever wrote the form."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from allauth.account.forms import (
    BaseConfirmCodeForm,
    ChangePasswordForm,
    ResetPasswordKeyForm,
)
from allauth.mfa.base.forms import BaseAuthenticateForm
from allauth.mfa.totp.forms import ActivateTOTPForm
from django import template
from django.forms import BaseForm, BoundField, CheckboxInput, CheckboxSelectMultiple, RadioSelect
from django.urls import NoReverseMatch, reverse

from accounts import browsers

register = template.Library()
register.filter("browser", browsers.browser)


@dataclass(frozen=True)
class Wording:
    """What replaces a field's own; ``None`` leaves it."""

    label: str | None = None
    help: str | None = None
    attrs: dict[str, Any] = field(default_factory=dict)
    initial: object = None


_PASSWORD = "At least 8 characters; not your address, and not what many people use."
_TYPED = {"autocapitalize": "none", "spellcheck": "false"}

# allauth's fields, by name.
_WORDINGS = {
    "login": Wording(
        "E-mail address",
        attrs={
            **_TYPED,
            "type": "email",
            "inputmode": "email",
            "autocomplete": "username webauthn",
        },
    ),
    "email": Wording("E-mail address", attrs={**_TYPED, "inputmode": "email"}),
    "password1": Wording("Password", help=_PASSWORD),
    "password2": Wording("Password, once more", help=""),
    "oldpassword": Wording("Present password"),
    "name": Wording("Name", help="So that you can tell it from others, such as “Phone”."),
    "passwordless": Wording(
        "Sign in with it alone",
        help="Without a password. Not every old security key can do this.",
        initial=True,
    ),
}
_MAILED_CODE = Wording(
    "Code", attrs={"autocapitalize": "characters", "spellcheck": "false", "class": "code"}
)
_DIGITS = {"inputmode": "numeric", "spellcheck": "false", "class": "code"}
_APP_CODE = Wording("Code from your app", help="Six digits.", attrs=_DIGITS)
_FACTOR_CODE = Wording(
    "Code", help="Six digits from your app, or one of your recovery codes.", attrs=_DIGITS
)


@register.filter
def dressed(form: BaseForm) -> Iterator[BoundField]:
    """A form's visible fields: labels in our words, no placeholders in their place, and what a
    browser must know to fill them in. Forms of our own keep the labels they have."""
    ours = not type(form).__module__.startswith("allauth.")
    for bound in form.visible_fields():
        attrs = bound.field.widget.attrs
        attrs.pop("placeholder", None)
        if not ours:
            _reword(bound, _wording(form, bound.name))
        if "autofocus" not in attrs and bound.errors:
            attrs["autofocus"] = True
        yield bound


def _wording(form: BaseForm, name: str) -> Wording:
    if name == "password1" and isinstance(form, ChangePasswordForm | ResetPasswordKeyForm):
        return Wording("New password", help=_PASSWORD)
    if name == "code":
        if isinstance(form, ActivateTOTPForm):
            return _APP_CODE
        if isinstance(form, BaseAuthenticateForm):
            return _FACTOR_CODE
        if isinstance(form, BaseConfirmCodeForm):
            return _MAILED_CODE
    return _WORDINGS.get(name, Wording())


def _reword(bound: BoundField, wording: Wording) -> None:
    if wording.label is not None:
        bound.label = wording.label
    if wording.help is not None:
        bound.help_text = wording.help
        bound.field.help_text = wording.help  # what aria-describedby is made by
    if wording.initial is not None:
        bound.field.initial = wording.initial
    attrs = dict(wording.attrs)
    bound.field.widget.input_type = attrs.pop("type", bound.field.widget.input_type)
    bound.field.widget.attrs |= attrs


@register.filter
def kind(bound: BoundField) -> str:
    """How a field is laid out: as a tick, a group of choices, or a line."""
    widget = bound.field.widget
    if isinstance(widget, CheckboxSelectMultiple | RadioSelect):
        return "group"
    return "tick" if isinstance(widget, CheckboxInput) else "line"


# The account's pages: title, the address' name, and what other addresses belong to it.
_PLACES = (
    ("Overview", "dashboard", ()),
    ("History", "dashboard-history", ()),
    ("Jobs", "dashboard-jobs", ("/dashboard/jobs/",)),
    ("Billing", "billing", ("/dashboard/billing/", "/dashboard/checkout/")),
    ("API keys", "dashboard-keys", ("/dashboard/keys/",)),
    ("Security", "mfa_index", ("/accounts/2fa/", "/accounts/password/")),
    ("Sessions", "dashboard-sessions", ("/dashboard/sessions/", "/accounts/sessions/")),
    ("E-mail", "account_email", ("/accounts/email/",)),
    ("Connected accounts", "socialaccount_connections", ("/accounts/3rdparty/",)),
    ("Your data", "dashboard-data", ("/dashboard/data/",)),
)


@register.simple_tag(takes_context=True)
def places(context: template.Context) -> list[dict[str, Any]]:
    """The account's pages for its navigation; one of them may be the ``current`` one."""
    request = context.get("request")
    path = request.path if request else ""
    found = []
    for title, name, below in _PLACES:
        try:
            url = reverse(name)
        except NoReverseMatch:
            continue
        current = path == url or path.startswith(below or ("\0",))
        found.append({"title": title, "url": url, "current": current})
    return found
