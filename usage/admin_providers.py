"""Providers and their keys in the admin. A key is typed once and never shown again."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.http import HttpRequest
from genai_prices.data_snapshot import get_snapshot
from unfold.admin import ModelAdmin, TabularInline
from unfold.widgets import UnfoldAdminTextInputWidget

from common import addresses
from usage import providers, sync
from usage.models import Provider, ProviderKey

_FROM_ENVIRONMENT = ("openai", "anthropic")
BUILT_IN = (*_FROM_ENVIRONMENT, "demo")


class ProviderForm(forms.ModelForm):
    """Refuses an address that no key should be sent to."""

    def clean_base_url(self) -> str:
        given = self.cleaned_data["base_url"].strip()
        if not given:
            return ""
        try:
            return addresses.checked(given)
        except ValueError as problem:
            raise forms.ValidationError(f"The address {problem}.") from None

    def clean_price_list(self) -> str:
        given: str = self.cleaned_data["price_list"]
        known = sorted(provider.id for provider in get_snapshot().providers)
        if given and given not in known:
            raise forms.ValidationError(f"genai-prices knows {', '.join(known)}.")
        return given

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or self.cleaned_data
        name, kind = values.get("name", ""), values.get("kind")
        if (kind == Provider.Kind.DEMO) != (name == "demo"):
            self.add_error("kind", "Only the provider named demo is built in.")
        own = name in _FROM_ENVIRONMENT and kind == name
        needs_address = not own and kind != Provider.Kind.DEMO and "base_url" not in self.errors
        if needs_address and not values.get("base_url"):
            self.add_error("base_url", "Give the address, as this protocol's SDK takes it.")
        return values


class KeyForm(forms.ModelForm):
    """A key: typed in, or named by its environment variable. Left empty, a stored one stays."""

    new_secret = forms.CharField(
        label="key",
        required=False,
        max_length=500,
        widget=forms.PasswordInput(
            render_value=False,
            attrs={
                "autocomplete": "new-password",
                "placeholder": "enter a new one",
                "class": UnfoldAdminTextInputWidget().attrs["class"],
            },
        ),
    )

    class Meta:
        model = ProviderKey
        fields = ("label", "new_secret", "env", "weight", "enabled")

    def clean_new_secret(self) -> str:
        given = str(self.cleaned_data["new_secret"]).strip()
        if given and not (given.isascii() and given.isprintable() and " " not in given):
            raise forms.ValidationError("A key is one word of printable ASCII characters.")
        return given

    def clean_env(self) -> str:
        given = str(self.cleaned_data["env"]).strip()
        if given and not providers.ENV_NAME.fullmatch(given):
            raise forms.ValidationError("Give a variable whose name ends in _API_KEY.")
        return given

    def clean_weight(self) -> int:
        weight = int(self.cleaned_data["weight"])
        if weight < 1:
            raise forms.ValidationError("At least 1; to use a key no more, disable it.")
        return weight

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or self.cleaned_data
        typed, env = values.get("new_secret"), values.get("env")
        if typed and env:
            raise forms.ValidationError("Give the key or its variable, not both.")
        if not typed and not env and not self.instance.secret:
            raise forms.ValidationError("Give the key, or the variable that holds it.")
        if env:
            self.instance.secret = self.instance.shown = ""
        return values


class KeyFormSet(forms.BaseInlineFormSet):
    """The built-in provider needs no key, and has no address to keep one for."""

    def clean(self) -> None:
        super().clean()
        if self.instance.kind == Provider.Kind.DEMO and any(form.has_changed() for form in self):
            raise forms.ValidationError("The built-in provider takes no keys.")


class KeyInline(TabularInline):
    model = ProviderKey
    formset = KeyFormSet
    form = KeyForm
    extra = 0
    fields = ("label", "new_secret", "stored", "env", "weight", "enabled", "usable")
    readonly_fields = ("stored", "usable")
    verbose_name_plural = "keys"

    @admin.display(description="stored")
    def stored(self, key: ProviderKey) -> str:
        return key.shown or "-"

    @admin.display(description="usable")
    def usable(self, key: ProviderKey) -> str:
        return (providers.state_of(key) or "yes") if key.pk else "-"


@admin.register(Provider)
class ProviderAdmin(ModelAdmin):
    """Who answers calls. Every process knows of a change within seconds."""

    form = ProviderForm
    inlines = (KeyInline,)
    list_display = ("name", "kind", "base_url", "enabled", "usable_keys", "on_leaving")
    list_filter = ("enabled", "kind")
    search_fields = ("name",)
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("name", "kind", "base_url", "enabled", "on_leaving")}),
        ("Models", {"fields": ("price_list",)}),
        ("What this server knows of OpenAI's protocol", {"fields": ("output_field", "asks_usage")}),
    )

    @admin.display(description="keys that can be used")
    def usable_keys(self, provider: Provider) -> str:
        if provider.kind == Provider.Kind.DEMO:
            return "needs none"
        keys = provider.keys.filter(enabled=True).select_related("provider")
        return str(sum(not providers.state_of(key) for key in keys))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """The built-in ones' names and kinds are known elsewhere; models know others by name."""
        if obj is None:
            return ()
        return ("name", "kind") if obj.name in BUILT_IN else ("name",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The built-in ones are disabled instead."""
        allowed: bool = super().has_delete_permission(request, obj)
        return allowed and (obj is None or obj.name not in BUILT_IN)

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        super().delete_queryset(request, queryset.exclude(name__in=BUILT_IN))

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        provider: Provider = form.instance
        address = providers.address_of(provider.name, provider.base_url)
        for key_form in formset.forms:
            typed = getattr(key_form, "cleaned_data", {}).get("new_secret")
            if typed and address:
                key_form.instance.secret = providers.seal(typed, address)
                key_form.instance.shown = providers.shown(typed)
        super().save_formset(request, form, formset, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        with transaction.atomic():
            super().save_related(request, form, formsets, change)
            added = sync.sync_models().added
        if added:
            messages.info(request, f"{added} models were added from price lists.")
        for key in form.instance.keys.filter(enabled=True).select_related("provider"):
            if problem := providers.state_of(key):
                messages.warning(request, f"The key {key.label} can't be used: {problem}.")
