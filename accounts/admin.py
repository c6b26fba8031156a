"""Users, their API keys, and the roles of staff.

``UserAdmin`` is registered by ``billing.admin``, which adds what a user has and may do.
"""

from typing import Any, ClassVar

from allauth.account.models import EmailAddress
from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.admin import ModelAdmin
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts import client_admin, leaving, rescue, verbs  # noqa: F401  registers OIDC's clients
from accounts.finding import users_whose_email_begins as users_whose_email_begins
from accounts.key_admin import key_state
from accounts.models import ApiKey, User
from accounts.sign_in_admin import (
    AuthenticatorInline,
    EmailAddressInline,
    ExtensionInline,
    SessionInline,
    SignInActions,
    SocialAccountInline,
)
from common.admin import (
    BigTableAdmin,
    ConfirmedForm,
    ShownInline,
    confirm,
    link_to,
    reason_field,
)


class SearchedByEmail(ModelAdmin):
    """A list of what users have, searched by how their address begins. ``owner`` is a column."""

    search_fields = ("user__email",)  # so that there is a box
    search_help_text = "how the user's e-mail address begins"

    @admin.display(description="user")
    def owner(self, row: Any) -> str:
        return link_to(row.user)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if search_term.strip():
            queryset = queryset.filter(user__in=users_whose_email_begins(search_term))
        return queryset, False


class LowerEmail(forms.ModelForm):
    """Addresses are kept in lower case, as the manager does."""

    def clean_email(self) -> str:
        email = str(self.cleaned_data["email"]).lower()
        others = EmailAddress.objects.filter(email=email, verified=True)
        if others.exclude(user=self.instance.pk).exists():
            raise forms.ValidationError("Another account has this address.")
        return email


class NewUserForm(LowerEmail, UserCreationForm):
    class Meta:
        model = User
        fields = ("email",)


class ChangeUserForm(LowerEmail, UserChangeForm):
    """The admin names its model and fields."""


class ApiKeyInline(ShownInline):
    """A user's keys; each is revoked on its own page."""

    model = ApiKey
    fields = ("key", "prefix", "key_state", "last_used_at", "expires_at", "created_at")
    readonly_fields = fields
    verbose_name_plural = "API keys"
    key_state = key_state

    @admin.display(description="name")
    def key(self, key: ApiKey) -> str:
        return link_to(key, key.name)


class DeleteAccountForm(ConfirmedForm):
    """Somebody's account, deleted for them."""

    reason = reason_field("Kept in the history; write nothing personal, it stays.")

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user

    def summary(self) -> str:
        return (
            f"{self.user.email} is signed out everywhere, loses keys, plan and balance, and is "
            "named nowhere any more. This can't be undone."
        )


class UserAdmin(SignInActions, DjangoUserAdmin, BigTableAdmin):  # type: ignore[misc]
    """People. Their rows stay when an account is deleted: the books keep their transfers."""

    form = ChangeUserForm
    add_form = NewUserForm
    change_password_form = AdminPasswordChangeForm
    ordering = ("-pk",)
    list_display: Any = ("email", "is_active", "is_staff", "date_joined")
    list_filter = ("is_active", "is_staff")
    search_fields = ("email__startswith",)
    search_help_text = "how the e-mail address begins"
    readonly_fields: ClassVar[Any] = ("last_login", "date_joined")
    filter_horizontal = ("groups",)
    inlines = (
        EmailAddressInline, ApiKeyInline, SessionInline, ExtensionInline, SocialAccountInline,
        AuthenticatorInline,
    )  # fmt: skip
    actions_detail: Any = (
        {
            "title": "Account",
            "icon": "manage_accounts",
            "items": ["sign_out", "reset_factors", "delete_account"],
        },
    )
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("email", "password", "is_active")}),
        ("Staff", {"fields": ("is_staff", "is_superuser", "groups"), "classes": ["collapse"]}),
        ("Dates", {"fields": ("last_login", "date_joined"), "classes": ["collapse"]}),
    )
    add_fieldsets = ((None, {"fields": ("email", "usable_password", "password1", "password2")}),)

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return self.inlines if obj else ()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[User], search_term: str
    ) -> tuple[QuerySet[User], bool]:
        return super().get_search_results(request, queryset, search_term.lower())

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fixed = tuple(super().get_readonly_fields(request, obj))
        if not request.user.is_superuser:  # nobody makes themselves more than they are
            fixed += ("is_staff", "is_superuser", "groups")
        return fixed

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Superusers change everybody; other staff whoever is no staff, since whoever changes an
        address or a password can sign in with it."""
        colleague = obj is not None and obj.is_staff and obj.pk != request.user.pk
        return super().has_change_permission(request, obj) and (
            request.user.is_superuser or not colleague
        )

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if not change:  # as with create_account: whoever makes a user vouches for the address
            verbs.vouch_for(user=obj)
        elif "email" in form.changed_data:
            rescue.change_email(user=obj, old=form.initial["email"])

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_leave_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("accounts.delete_user")

    @action(
        description="Delete account",
        url_path="leave",
        permissions=["leave"],
        icon="person_remove",
        variant=ActionVariant.DANGER,
    )
    def delete_account(self, request: HttpRequest, object_id: str) -> HttpResponse:
        user: Any = self.get_object(request, object_id)

        def act(form: DeleteAccountForm) -> str:
            done = leaving.delete_account(user=user)
            user.refresh_from_db()  # what is written to the history from here on names nobody
            if not done:
                return "This account was deleted already."
            return f"Deleted the account: {form.cleaned_data['reason']}"

        return confirm(
            request,
            model_admin=self,
            target=user,
            allowed=self.has_leave_permission(request),
            title="Delete an account",
            form_class=DeleteAccountForm,
            act=act,
            user=user,
        )


admin.site.unregister(Group)


@admin.register(Group)
class RoleAdmin(DjangoGroupAdmin, ModelAdmin):
    """Roles of staff: named sets of permissions."""
