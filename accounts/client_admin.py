"""OIDC clients in the admin: programs of the operator, or of others, that sign people in."""

from typing import Any, ClassVar

from allauth.idp.oidc.admin import ClientAdmin
from allauth.idp.oidc.models import Client
from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextareaWidget

from accounts import extensions

admin.site.unregister(Client)


class ClientForm(forms.ModelForm):
    """allauth's fields, each list checked a line at a time."""

    class Meta:
        help_texts: ClassVar = {
            "name": "People who are asked for their consent see it.",
            "scopes": "What it may ask for, one a line: openid, email, profile.",
            "default_scopes": "What it gets when it asks for none, one a line.",
            "grant_types": "One a line: authorization_code, refresh_token, and the like.",
            "response_types": "One a line; code is the one to use.",
            "redirect_uris": "Where people come back to, whole addresses, one a line.",
            "cors_origins": "Whose pages may ask for tokens, one a line.",
            "type": "Public for what runs on people's machines and can keep no secret: PKCE is "
            "what protects it.",
            "skip_consent": "For your own programs alone: people are not asked, and a token of "
            "theirs may call the API and spend credits.",
        }
        widgets: ClassVar = {
            name: UnfoldAdminTextareaWidget(attrs={"rows": 3})
            for name in ("scopes", "default_scopes", "grant_types", "response_types",
                         "redirect_uris", "cors_origins")
        }  # fmt: skip

    def clean_redirect_uris(self) -> str:
        uris = str(self.cleaned_data["redirect_uris"])
        for uri in uris.split():
            if "*" in uri or "#" in uri or ":" not in uri:
                raise ValidationError(f"{uri}: must be a whole address, without * and #.")
        return "\n".join(uris.split())

    def clean_cors_origins(self) -> str:
        origins = str(self.cleaned_data["cors_origins"])
        for origin in origins.split():
            if "*" in origin or origin.count("/") != 2:
                raise ValidationError(f"{origin}: must be an origin such as https://example.com.")
        return "\n".join(origins.split())

    def _choices(self, field: str, known: Any) -> str:
        values = [line.strip() for line in self.cleaned_data[field].splitlines() if line.strip()]
        if wrong := [value for value in values if value not in known.values]:
            raise ValidationError(f"{wrong[0]}: choose from {', '.join(known.values)}.")
        return "\n".join(values)

    def clean_grant_types(self) -> str:
        return self._choices("grant_types", Client.GrantType)

    def clean_response_types(self) -> str:
        return self._choices("response_types", Client.ResponseType)


@admin.register(Client)
class OidcClientAdmin(ClientAdmin, ModelAdmin):
    """For superusers. The clients of ``EXTENSION_IDS`` are kept as the setting says, and only
    shown; of a secret nothing is shown but once, when its client is made."""

    form = ClientForm
    list_display = ("name", "id", "type", "skip_consent", "created_at")
    list_filter = ("type", "skip_consent")
    readonly_fields = ("id", "created_at")
    raw_id_fields = ()
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("name", "id", "type", "skip_consent")}),
        ("What it may ask for", {
            "fields": ("scopes", "default_scopes", "grant_types", "response_types")
        }),
        ("Where it is", {"fields": ("redirect_uris", "cors_origins")}),
    )  # fmt: skip

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """A new client gets its id when it is saved; until then another one would be shown."""
        first, *others = super().get_fieldsets(request, obj)
        names = tuple(name for name in first[1]["fields"] if obj or name != "id")
        return ((first[0], {"fields": names}), *others)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fixed = ("type",) if obj else ()  # its secret was made, or not, when it was
        return (*super().get_readonly_fields(request, obj), *fixed)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_module_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_module_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        ours = obj is not None and obj.data == extensions.MARK
        return self.has_module_permission(request) and not ours

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_change_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: Client, form: Any, change: bool) -> None:
        if obj.type == Client.Type.CONFIDENTIAL:
            super().save_model(request, obj, form, change)  # which makes a secret, and shows it
        else:
            obj.secret = "!"
            obj.save()
