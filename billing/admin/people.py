"""The user's page: plan and subscription, wallet and what was paid; credits are granted here, and
plans assigned and taken back."""

from datetime import UTC, datetime, time
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminSelectWidget

from accounts.admin import UserAdmin
from accounts.models import User
from billing import entitlements
from billing.admin.shown import LINK
from billing.admin.standing import frozen, paid, subscriptions, top_up
from billing.models import Allowance, Entitlement, Plan
from common.admin import ConfirmedForm, confirm, link_to, reason_field
from common.money import format_credits
from ledger import verbs
from ledger.forms import GrantForm
from ledger.models import Account


class AssignPlanForm(ConfirmedForm):
    """A plan for somebody, whatever they pay for."""

    plan = forms.ModelChoiceField(Plan.objects.all(), widget=UnfoldAdminSelectWidget)
    status = forms.ChoiceField(choices=Entitlement.Status, widget=UnfoldAdminSelectWidget)
    reason = reason_field("Kept in the user's history.")

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user

    def summary(self) -> str:
        plan, status = self.cleaned_data["plan"], self.cleaned_data["status"]
        return f"{self.user.email} is on the plan {plan} from now on ({status})."


class TakeBackForm(ConfirmedForm):
    """What staff assigned, taken back."""

    reason = reason_field("Kept in the user's history.")

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user

    def summary(self) -> str:
        return f"{self.user.email} has the plan they pay for, or else the default one."


@admin.register(User)
class AccountHolderAdmin(UserAdmin):
    """A user with plan and wallet; credits are granted and plans assigned here."""

    list_display: Any = (
        "email",
        "plan",
        "available",
        "is_active",
        "is_staff",
        "date_joined",
    )
    readonly_fields: ClassVar[Any] = (
        *UserAdmin.readonly_fields,
        "plan_now",
        "wallet_now",
        "allowance_now",
        "subscriptions_now",
        "paid_now",
        "top_up_now",
        "elsewhere",
    )
    actions_detail: Any = (
        "grant_credits",
        "assign_plan",
        "take_plan_back",
        *UserAdmin.actions_detail,
    )
    fieldsets: ClassVar[Any] = (
        UserAdmin.fieldsets[0],
        (
            "Plan and wallet",
            {
                "fields": (
                    "plan_now",
                    "subscriptions_now",
                    "wallet_now",
                    "allowance_now",
                    "paid_now",
                    "top_up_now",
                    "elsewhere",
                )
            },
        ),
        *UserAdmin.fieldsets[1:],
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        wallets = Account.objects.filter(owner=OuterRef("pk"), kind=Account.Kind.WALLET)
        own = Entitlement.objects.filter(user=OuterRef("pk")).values("plan__name")
        usual = Plan.objects.filter(is_default=True).values("name")
        return (
            super()
            .get_queryset(request)
            .annotate(
                wallet_posted=Subquery(wallets.values("posted")),
                wallet_held=Subquery(wallets.values("held")),
                plan_name=Coalesce(Subquery(own), Subquery(usual)),
            )
        )

    @admin.display(description="plan")
    def plan(self, user: Any) -> str:
        return str(user.plan_name)

    @admin.display(description="available, credits")
    def available(self, user: Any) -> str:
        amount = (user.wallet_posted or 0) - (user.wallet_held or 0)
        return format_html("<code>{}</code>", format_credits(amount))

    @admin.display(description="plan")
    def plan_now(self, user: User) -> str:
        now = entitlements.current(user)
        until = f", until {now.period_end:%Y-%m-%d}" if now.period_end else ""
        by = f", by {now.get_source_display()}" if not now._state.adding else ""
        return format_html("{} ({}{}{})", link_to(now.plan), now.get_status_display(), by, until)

    @admin.display(description="subscriptions")
    def subscriptions_now(self, user: User) -> str:
        return subscriptions(user)

    @admin.display(description="paid")
    def paid_now(self, user: User) -> str:
        return paid(user)

    @admin.display(description="automatic top-up")
    def top_up_now(self, user: User) -> str:
        return top_up(user)

    @admin.display(description="wallet, credits")
    def wallet_now(self, user: User) -> str:
        wallet = Account.objects.filter(owner=user, kind=Account.Kind.WALLET).first()
        if wallet is None:
            return "none yet"
        shown = {"available": wallet.available, "held": wallet.held, "posted": wallet.posted}
        amounts = format_html_join(
            " · ", "<code>{}</code> {}", ((format_credits(n), name) for name, n in shown.items())
        )
        return format_html("{}{}", amounts, frozen(user, wallet.owed)) if wallet.owed else amounts

    @admin.display(description="free plan's allowance")
    def allowance_now(self, user: User) -> str:
        own = Allowance.objects.filter(user=user).first()
        if own is None:
            return "none: made by the operator"
        if own.claimed_at is None:
            return "not granted: no verified address yet, had before, or too many from one network"
        return f"granted each month since {own.claimed_at:%Y-%m-%d}"

    @admin.display(description="more")
    def elsewhere(self, user: User) -> str:
        pages = {
            "orders": "billing_order", "payments": "billing_payment",
            "invoices": "djstripe_invoice",
            "calls": "usage_call", "transfers": "ledger_transfer", "lots": "ledger_grant",
            "open holds": "ledger_hold", "months": "usage_monthlyusage",
        }  # fmt: skip
        query = urlencode({"q": user.email})
        return format_html_join(
            " · ",
            '<a class="{}" href="{}?{}">{}</a>',
            (
                (LINK, reverse(f"admin:{page}_changelist"), query, name)
                for name, page in pages.items()
            ),
        )

    def has_grant_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("ledger.add_grant")

    def has_assign_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("billing.change_entitlement")

    @action(
        description="Grant credits",
        url_path="grant",
        permissions=["grant"],
        icon="add_card",
        variant=ActionVariant.PRIMARY,
    )
    def grant_credits(self, request: HttpRequest, object_id: str) -> HttpResponse:
        user: Any = self.get_object(request, object_id)
        return confirm(
            request,
            model_admin=self,
            target=user,
            allowed=self.has_grant_permission(request),
            title="Grant credits",
            form_class=GrantForm,
            act=lambda form: grant(user, form, request.user),
            user=user,
        )

    @action(
        description="Assign plan",
        url_path="plan",
        permissions=["assign"],
        icon="workspace_premium",
    )
    def assign_plan(self, request: HttpRequest, object_id: str) -> HttpResponse:
        user: Any = self.get_object(request, object_id)

        def act(form: AssignPlanForm) -> str:
            plan, status = form.cleaned_data["plan"], form.cleaned_data["status"]
            entitlements.assign_plan(user=user, plan=plan, status=status)
            return f"{user} is on the plan {plan} ({status}): {form.cleaned_data['reason']}"

        return confirm(
            request,
            model_admin=self,
            target=user,
            allowed=self.has_assign_permission(request),
            title="Assign a plan",
            form_class=AssignPlanForm,
            act=act,
            user=user,
        )

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """What staff assigned can be taken back, where they did."""
        offered = super().get_actions_detail(request, object_id)
        source = Entitlement.Source.STAFF
        assigned = Entitlement.objects.filter(user=object_id, source=source).exists()
        return [one for one in offered if assigned or one.method.__name__ != "take_plan_back"]

    @action(
        description="Take plan back",
        url_path="unassign",
        permissions=["assign"],
        icon="undo",
    )
    def take_plan_back(self, request: HttpRequest, object_id: str) -> HttpResponse:
        user: Any = self.get_object(request, object_id)

        def act(form: TakeBackForm) -> str:
            now = entitlements.unassign(user=user)
            return f"{user} is on the plan {now.plan} again: {form.cleaned_data['reason']}"

        return confirm(
            request,
            model_admin=self,
            target=user,
            allowed=self.has_assign_permission(request),
            title="Take an assigned plan back",
            form_class=TakeBackForm,
            act=act,
            user=user,
        )


def grant(user: User, form: GrantForm, actor: Any) -> str:
    """Grant what a valid form says, once for its token; the transfer names ``actor``."""
    said = form.cleaned_data
    day = said["expires"]
    done = verbs.grant(
        account=verbs.wallet_of(user=user.pk),
        amount=said["amount"],
        kind=said["kind"],
        key=f"admin:grant:{said['token']}",
        expires_at=datetime.combine(day, time(), UTC) if day else None,
        metadata={"reason": said["reason"], "actor": actor.pk},
    )
    return (
        f"Granted {format_credits(said['amount'])} credits to {user.email} "
        f"(transfer {done.transfer}): {said['reason']}"
    )
