"""API keys in the admin: every user's, to look at and to revoke, and the service keys of the
operator's back ends, which are made and renewed here."""

import uuid
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts import crypto, keys, services, staff, verbs
from accounts.finding import users_whose_email_begins
from accounts.models import ApiKey, User
from accounts.verbs import STAFF_SCOPES, IssuedKey
from common.admin import ConfirmedForm, ReadOnlyAdmin, confirm, credits, link_to, reason_field
from common.errors import FareboxError

NEW_KEY = "accounts.new_service_key"  # in the session, from the making to the one showing


@display(
    description="state", label={"active": "success", "expired": "warning", "revoked": "danger"}
)
def key_state(_admin: Any, key: ApiKey) -> str:
    if key.revoked_at:
        return "revoked"
    return "active" if key.is_active else "expired"


class RevokeForm(ConfirmedForm):
    reason = reason_field("Kept in the key's history.")

    def summary(self) -> str:
        return "The key stops working at once and for good."


class NewServiceKeyForm(ConfirmedForm):
    name = forms.CharField(
        max_length=100,
        strip=True,
        widget=UnfoldAdminTextInputWidget,
        help_text="Which back end it is for. Staff see it beside what the service moves.",
    )
    reason = reason_field("Kept in the key's history.")

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        if not name.isprintable():
            raise forms.ValidationError("Use printable characters only.")
        return name

    def summary(self) -> str:
        return "Whoever has the key can take credits from every user. It is shown once."


class RenewForm(ConfirmedForm):
    reason = reason_field("Kept in the key's history.")

    def summary(self) -> str:
        return "The secret there is stops working at once; the new one is shown once."


class KindOfKey(admin.SimpleListFilter):
    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("service", "service keys"), ("user", "users' own")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
        service = {"scopes__contains": sorted(STAFF_SCOPES)}
        match self.value():
            case "service":
                return queryset.filter(**service)
            case "user":
                return queryset.exclude(**service)
        return queryset


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    """Keys, without their secrets, which nobody has but their owners. A service key's is shown to
    whoever makes or renews it, once."""

    ordering = ("-id",)
    list_display = ("name", "prefix", "owner", "key_state", "last_used_at", "created_at")
    list_filter = (KindOfKey,)
    list_select_related = ("user",)
    search_fields = ("prefix",)
    search_help_text = "how the key begins (fb_…), or its owner's e-mail address"
    fields = (
        "name", "prefix", "owner", "key_state", "scopes", "cap", "created_at", "expires_at",
        "last_used_at", "revoked_at",
    )  # fmt: skip
    readonly_fields = fields
    actions_list = ("make",)
    actions_detail = ("renew", "revoke")
    key_state = key_state
    cap = credits("monthly_cap", "monthly cap, credits")

    @admin.display(description="owner")
    def owner(self, key: ApiKey) -> str:
        return link_to(key.user)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[ApiKey], search_term: str
    ) -> tuple[QuerySet[ApiKey], bool]:
        term = search_term.strip()
        if term.startswith("fb_"):
            return queryset.filter(prefix__startswith=keys.shown_part(term)), False
        if term:
            return queryset.filter(user__in=users_whose_email_begins(term)), False
        return queryset, False

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> Any:
        if secret := _take_secret(request, object_id):
            # Shown with this very answer: no message waits in a cookie.
            messages.warning(
                request,
                format_html("Copy the key now, it is shown this once: <code>{}</code>", secret),
            )
        return super().change_view(request, object_id, *args, **kwargs)

    def has_make_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.add_apikey")

    @action(
        description="Make a service key",
        url_path="make",
        permissions=["make"],
        icon="add",
        variant=ActionVariant.PRIMARY,
    )
    def make(self, request: HttpRequest) -> HttpResponse:
        if not self.has_make_permission(request):
            raise PermissionDenied
        data: Any = request.POST if request.method == "POST" else None
        form = NewServiceKeyForm(data=data, initial={"token": uuid.uuid4()})
        ready = form.is_bound and form.is_valid() and "edit" not in request.POST
        if ready and "confirmed" in request.POST:
            try:
                return HttpResponseRedirect(self._made(request, form.cleaned_data))
            except FareboxError as error:
                form.add_error(None, error.message)
                ready = False
        context = {
            **self.admin_site.each_context(request),
            "title": "Make a service key",
            "opts": self.model._meta,
            "original": "API keys",
            "form": form,
            "back": reverse("admin:accounts_apikey_changelist"),
            "ready": ready,
        }
        return TemplateResponse(request, "admin/confirm.html", context)

    def _made(self, request: HttpRequest, given: dict[str, Any]) -> str:
        """The page of the key that this form made, now or when it was sent before."""
        token = str(given["token"])
        last = request.session.get(NEW_KEY)
        if last and last[2] == token:
            return _page_of(last[0])
        assert isinstance(request.user, User)
        staff.require_factor(request.user, STAFF_SCOPES)
        issued = services.issue(name=given["name"])
        self.log_addition(request, issued.key, f"Made a service key: {given['reason']}")
        _keep_secret(request, issued, token)
        return _page_of(issued.key.pk)

    def has_renew_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Of service keys: nobody but a user makes that user's own."""
        key = ApiKey.objects.filter(pk=obj).first() if obj else None
        return request.user.has_perm("accounts.add_apikey") and (
            key is not None and services.is_service_key(key)
        )

    @action(
        description="New secret",
        url_path="renew",
        permissions=["renew"],
        icon="autorenew",
        variant=ActionVariant.DANGER,
    )
    def renew(self, request: HttpRequest, object_id: str) -> HttpResponse:
        key = self.get_object(request, object_id)

        def act(form: RenewForm) -> str:
            assert key is not None
            assert isinstance(request.user, User)
            staff.require_factor(request.user, STAFF_SCOPES)
            issued = services.renew(key=key)
            if issued is None:
                return f"The key {key} has ended; make another."
            _keep_secret(request, issued, str(form.cleaned_data["token"]))
            return f"New secret for {issued.key}: {form.cleaned_data['reason']}"

        return confirm(
            request,
            model_admin=self,
            target=key,
            allowed=self.has_renew_permission(request, object_id),
            title="Give a service key a new secret",
            form_class=RenewForm,
            act=act,
        )

    def has_revoke_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("accounts.change_apikey")

    @action(
        description="Revoke",
        url_path="revoke",
        permissions=["revoke"],
        icon="block",
        variant=ActionVariant.DANGER,
    )
    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        key = self.get_object(request, object_id)

        def act(form: RevokeForm) -> str:
            assert key is not None
            done = verbs.revoke_key(key=key)
            if not done:
                return f"The key {key} was revoked already."
            return f"Revoked {key}: {form.cleaned_data['reason']}"

        return confirm(
            request,
            model_admin=self,
            target=key,
            allowed=self.has_revoke_permission(request),
            title="Revoke an API key",
            form_class=RevokeForm,
            act=act,
        )


def _page_of(key: object) -> str:
    return reverse("admin:accounts_apikey_change", args=[key])


def _keep_secret(request: HttpRequest, issued: IssuedKey, token: str) -> None:
    """Until the key's page shows it. Encrypted, since sessions lie in the database."""
    request.session[NEW_KEY] = [str(issued.key.pk), crypto.encrypt(issued.secret), token]


def _take_secret(request: HttpRequest, object_id: str) -> str | None:
    last = request.session.get(NEW_KEY)
    if not last or last[0] != object_id or last[1] is None:
        return None
    request.session[NEW_KEY] = [last[0], None, last[2]]
    try:
        return crypto.decrypt(last[1])
    except crypto.Unreadable:  # SECRET_KEY was changed in this very moment
        return None
