"""Subscriptions as Stripe has them, and what staff do to one: each asked for twice, by POST, with
a reason that stays in the history of the subscription and of its user."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.fields.json import KT
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from djstripe import models as tables
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminRadioSelectWidget, UnfoldAdminSelectWidget

from accounts.models import User
from billing import operations
from billing.admin.shown import (
    StripePage,
    code,
    moment,
    state,
    status_filter,
    sum_of,
    time,
    told,
)
from billing.gateway.values import linked
from billing.models import Plan, PlanPrice
from billing.subscriptions import scheduled_plan
from common.admin import ConfirmedForm, confirm, link_to, reason_field
from common.money import format_money

PRICE = "items.data.0.price.id"


class CancelForm(ConfirmedForm):
    """The end of a subscription; ``end`` says when, in words."""

    reason = reason_field("Kept in the history; Stripe is not told.")

    def __init__(self, *args: Any, end: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.end = end

    def summary(self) -> str:
        return self.end


class ResumeForm(ConfirmedForm):
    reason = reason_field("Kept in the history; Stripe is not told.")

    def summary(self) -> str:
        return "The subscription goes on, and is renewed at the end of its period."


class ChangePlanForm(ConfirmedForm):
    """Another plan, or the plan's present price for somebody who pays an older one."""

    plan = forms.ModelChoiceField(Plan.objects.none(), widget=UnfoldAdminSelectWidget)
    when = forms.ChoiceField(
        choices=[("now", "at once"), ("end", "when the present period ends")],
        initial="now",
        widget=UnfoldAdminRadioSelectWidget,
        help_text="At once, a dearer plan is charged for the rest of the period, with its part of "
        "the credits; for a cheaper one nothing is paid back, and credits granted stay.",
    )
    reason = reason_field("Kept in the history; Stripe is not told.")

    def __init__(self, *args: Any, price: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.price = price
        field: Any = self.fields["plan"]
        offered = PlanPrice.objects.filter(active=True).exclude(stripe_id=price)
        field.queryset = Plan.objects.filter(pk__in=offered.values("plan"))
        field.label_from_instance = self._label
        field.empty_label = None

    @staticmethod
    def _label(plan: Plan) -> str:
        price = plan.prices.filter(active=True).first()
        return (
            f"{plan}, {format_money(price.amount, price.currency)} a month" if price else plan.name
        )

    def summary(self) -> str:
        plan = self._label(self.cleaned_data["plan"])
        if self.cleaned_data["when"] == "end":
            return f"From the next period on the plan is {plan}."
        return f"The plan is {plan}, from now on; what is due is charged at once."


@admin.register(tables.Subscription)
class SubscriptionAdmin(StripePage):
    """Who subscribes to what."""

    at_stripe = "subscriptions"
    list_display = ("owner", "plan", "status", "amount", "period_end", "ends", "made")
    list_filter = (
        status_filter("active", "trialing", "past_due", "unpaid", "paused", "incomplete",
                      "canceled", "incomplete_expired"),
    )  # fmt: skip
    fields = (
        "id_", "owner", "plan", "status", "amount", "price", "period_start", "period_end",
        "trial_end", "ends", "scheduled", "made", "ended", "latest", "dashboard", "kept",
    )  # fmt: skip
    readonly_fields = fields
    actions_detail = ("change_plan", "resume", "cancel_at_period_end", "cancel_now")
    status, amount = state(), sum_of("items.data.0.price.unit_amount", "a month")
    price = code(PRICE, "price at Stripe")
    period_start = time("items.data.0.current_period_start", "period began")
    period_end = time("items.data.0.current_period_end", "period ends")
    trial_end, made = time("trial_end", "trial ends"), time("created", "created")
    ended = time("ended_at", "ended")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        prices = PlanPrice.objects.filter(stripe_id=OuterRef("price_id"))
        return (
            super()
            .get_queryset(request)
            .annotate(price_id=KT("stripe_data__items__data__0__price__id"))
            .annotate(
                plan_name=Subquery(prices.values("plan__name")),
                price_active=Subquery(prices.values("active")),
            )
        )

    def name_of(self, row: Any) -> str:
        return f"{row.plan_name or 'Subscription'} of {row.user_email or row.id}"

    @admin.display(description="plan")
    def plan(self, row: Any) -> str:
        if not row.plan_name:
            return "none of ours"
        return row.plan_name if row.price_active else f"{row.plan_name} (an older price)"

    @admin.display(description="canceled for")
    def ends(self, row: Any) -> str:
        if told(row, "cancel_at"):
            return moment(told(row, "cancel_at"))
        if told(row, "cancel_at_period_end"):
            return moment(told(row, "items.data.0.current_period_end"))
        return "-"

    @admin.display(description="scheduled change")
    def scheduled(self, row: Any) -> str:
        if (plan := scheduled_plan(row.stripe_data)) is None:
            return linked(told(row, "schedule")) or "none"
        period_end = moment(told(row, "items.data.0.current_period_end"))
        return format_html("{} from {} on", link_to(plan), period_end)

    @admin.display(description="latest invoice")
    def latest(self, row: Any) -> str:
        id = linked(told(row, "latest_invoice"))
        return link_to(tables.Invoice.objects.filter(id=id).first(), id)

    def has_manage_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("djstripe.change_subscription")

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Those that would do something now. (Their addresses stay: a form sent twice is answered
        like the first time.)"""
        row = tables.Subscription.objects.filter(pk=object_id).first()
        fitting = buttons(row) if row else ()
        offered = super().get_actions_detail(request, object_id)
        return [one for one in offered if one.method.__name__ in fitting]

    def _confirm(
        self,
        request: HttpRequest,
        pk: str,
        title: str,
        form_class: type[ConfirmedForm],
        ask: Callable[[str, Any, str], str],
        **form_arguments: Any,
    ) -> HttpResponse:
        """``ask(subscription, form, key)`` does it and answers what was done."""
        row: Any = self.get_object(request, pk)

        def act(form: Any) -> str:
            done = ask(row.id, form, f"admin:{form.cleaned_data['token']}")
            said = f"{done}: {form.cleaned_data['reason']}"
            if owner := User.objects.filter(pk=row.user_id).first():
                self.log_change(request, owner, f"{said} ({row.id})")
            return said

        return confirm(
            request,
            model_admin=self,
            target=row,
            allowed=self.has_manage_permission(request),
            title=title,
            form_class=form_class,
            act=act,
            shown=self.name_of(row) if row else "",
            **form_arguments,
        )

    @action(description="Change plan", url_path="plan", permissions=["manage"],
            icon="swap_vert")  # fmt: skip
    def change_plan(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row: Any = self.get_object(request, object_id)

        def ask(id: str, form: ChangePlanForm, key: str) -> str:
            plan, later = form.cleaned_data["plan"], form.cleaned_data["when"] == "end"
            operations.change_plan(id, plan, at_period_end=later, key=key)
            return f"The plan is {plan} from {'the next period' if later else 'now'} on"

        return self._confirm(request, object_id, "Change the plan", ChangePlanForm, ask,
                             price=told(row, PRICE) if row else "")  # fmt: skip

    @action(description="Resume", url_path="resume", permissions=["manage"], icon="play_arrow",
            variant=ActionVariant.PRIMARY)  # fmt: skip
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def ask(id: str, form: ResumeForm, key: str) -> str:
            operations.resume(id, key=key)
            return "The subscription goes on"

        return self._confirm(request, object_id, "Resume a subscription", ResumeForm, ask)

    @action(description="Cancel at period end", url_path="cancel-later",
            permissions=["manage"], icon="event_busy")  # fmt: skip
    def cancel_at_period_end(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def ask(id: str, form: CancelForm, key: str) -> str:
            operations.cancel_at_period_end(id, key=key)
            return "Canceled at the period's end"

        end = "The subscription goes on until its period is over, and is not renewed."
        return self._confirm(request, object_id, "Cancel at the period's end", CancelForm, ask,
                             end=end)  # fmt: skip

    @action(description="Cancel now", url_path="cancel", permissions=["manage"], icon="block",
            variant=ActionVariant.DANGER)  # fmt: skip
    def cancel_now(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def ask(id: str, form: CancelForm, key: str) -> str:
            operations.cancel_now(id, key=key)
            return "Canceled at once"

        end = (
            "The subscription ends now, and the default plan holds. Credits that were granted stay "
            "until their date, and no money goes back: refund the payment for that."
        )
        return self._confirm(request, object_id, "Cancel now", CancelForm, ask, end=end)


def buttons(row: Any) -> set[str]:
    """What can be done with a subscription in its present state."""
    if told(row, "status") in operations.ENDED:
        return set()
    ending = bool(told(row, "cancel_at_period_end") or told(row, "cancel_at"))
    paused = told(row, "status") == "paused" or bool(told(row, "pause_collection"))
    found = {"change_plan", "cancel_now"}
    found |= {"resume"} if ending or paused else set()
    return found | (set() if ending else {"cancel_at_period_end"})
