"""How somebody signs in, on their page in the admin: shown, never with what opens the account, and
what staff can do about it. allauth's own pages, which show more, are taken away."""

from typing import Any

from allauth.account.models import EmailAddress
from allauth.idp.oidc.models import Client, Token
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from accounts import browsers, rescue
from accounts.models import FamilyToken, TokenFamily, User
from common.admin import ConfirmedForm, ShownInline, confirm, reason_field

# They show keys of sessions, secrets of second factors and tokens, or edit what the environment
# decides. What staff need of them stands on the user's page.
for model in (
    EmailAddress,
    Authenticator,
    UserSession,
    Token,
    SocialAccount,
    SocialApp,
    SocialToken,
):
    admin.site.unregister(model)


class EmailAddressInline(ShownInline):
    model = EmailAddress
    fields = ("email", "state", "primary")
    readonly_fields = fields
    verbose_name_plural = "e-mail addresses"

    @display(description="state", label={"verified": "success", "not verified": "warning"})
    def state(self, address: EmailAddress) -> str:
        return "verified" if address.verified else "not verified"


class AuthenticatorInline(ShownInline):
    """Without ``data``, in which the secrets are."""

    model = Authenticator
    fields = ("kind", "called", "created_at", "last_used_at")
    readonly_fields = fields
    tab = True
    verbose_name_plural = "second factors and passkeys"

    @admin.display(description="kind")
    def kind(self, factor: Authenticator) -> str:
        words = {"totp": "Authenticator app", "webauthn": "Passkey"}
        return words.get(factor.type, "Recovery codes")

    @admin.display(description="name")
    def called(self, factor: Authenticator) -> str:
        return str(factor.data.get("name") or "-")


class SocialAccountInline(ShownInline):
    model = SocialAccount
    fields = ("provider_name", "uid", "date_joined", "last_login")
    readonly_fields = fields
    tab = True
    verbose_name_plural = "linked accounts"

    @admin.display(description="provider")
    def provider_name(self, account: SocialAccount) -> str:
        return {"google": "Google", "github": "GitHub"}.get(account.provider, account.provider)


class SessionInline(ShownInline):
    """Without the key, which opens the session."""

    model = UserSession
    fields = ("browser", "address", "created_at", "last_seen_at")
    readonly_fields = fields
    ordering = ("-last_seen_at",)
    tab = True
    verbose_name_plural = "sessions"

    @admin.display(description="browser or program")
    def browser(self, session: UserSession) -> str:
        return browsers.browser(session.user_agent)

    @admin.display(description="address")
    def address(self, session: UserSession) -> str:
        return str(session.ip)


class ExtensionInline(ShownInline):
    """Sign-ins of extensions that still stand."""

    model = TokenFamily
    fields = ("called", "client", "created_at")
    readonly_fields = fields
    ordering = ("-created_at",)
    tab = True
    verbose_name_plural = "extensions"

    def get_queryset(self, request: HttpRequest) -> QuerySet[TokenFamily]:
        own = FamilyToken.objects.filter(family=OuterRef(OuterRef("pk"))).values("hash")
        live = Token.objects.filter(hash__in=own, expires_at__gt=timezone.now())
        found: QuerySet[TokenFamily] = super().get_queryset(request)
        return found.filter(Exists(live))

    @admin.display(description="name")
    def called(self, family: TokenFamily) -> str:
        client = Client.objects.filter(pk=family.client).first()
        return client.name if client else "-"


class ReasonForm(ConfirmedForm):
    """Something done to ``user``, and why."""

    reason = reason_field("Kept in the user's history.")

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user


class SignOutForm(ReasonForm):
    def summary(self) -> str:
        return (
            f"{self.user.email} is signed out of every browser, program and extension at once. "
            "API keys stay; to keep somebody out, take 'active' from their account."
        )


class ResetFactorsForm(ReasonForm):
    def summary(self) -> str:
        return (
            f"{self.user.email} loses authenticator app, passkeys and recovery codes, is signed "
            "out everywhere, and is told by mail. From then on a password, or a code sent to the "
            "address, is enough: make sure that it is they who ask."
        )


class SignInActions:
    """What staff do about a user's sign-in; part of ``UserAdmin``."""

    def has_sign_in_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("accounts.change_user")

    @action(description="Sign out everywhere", url_path="sign-out", permissions=["sign_in"],
            icon="logout")  # fmt: skip
    def sign_out(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(user: User, form: ReasonForm) -> str:
            rescue.sign_out(user=user)
            return f"Signed {user} out everywhere: {form.cleaned_data['reason']}"

        return self._ask(request, object_id, "Sign out everywhere", SignOutForm, act)

    @action(description="Reset second factors", url_path="reset-factors", permissions=["sign_in"],
            icon="phonelink_erase", variant=ActionVariant.DANGER)  # fmt: skip
    def reset_factors(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(user: User, form: ReasonForm) -> str:
            assert isinstance(request.user, User)
            if not rescue.reset_second_factors(user=user, actor=request.user):
                return f"{user} had no second factors."
            return f"Reset the second factors of {user}: {form.cleaned_data['reason']}"

        return self._ask(request, object_id, "Reset second factors", ResetFactorsForm, act)

    def _ask(self, request: HttpRequest, object_id: str, title: str, form: Any, act: Any) -> Any:
        """Whoever may not change ``user`` may do neither to them."""
        page: Any = self
        user = page.get_object(request, object_id)
        return confirm(
            request,
            model_admin=page,
            target=user,
            allowed=page.has_change_permission(request, user),
            title=title,
            form_class=form,
            act=lambda valid: act(user, valid),
            user=user,
        )
