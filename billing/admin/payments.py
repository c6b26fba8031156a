"""What was paid, the lots that were granted for it, and paying it back through Stripe."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from djstripe import models as tables
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from accounts.admin import SearchedByEmail
from billing import operations
from billing.admin.effects import Effect, effect_of, left_to_refund
from billing.models import Payment, PaymentGrant
from common.admin import (
    ConfirmedForm,
    MoneyFormField,
    ReadOnlyAdmin,
    ShownInline,
    confirm,
    credits,
    link_to,
    money,
    reason_field,
)
from common.money import format_credits, format_money
from ledger.models import Transfer

LABELS = {
    "paid": "success", "partly refunded": "warning", "refunded": "warning", "disputed": "danger",
    "demo": "info",
}  # fmt: skip


class LotInline(ShownInline):
    """The lots that a payment became."""

    model = PaymentGrant
    fields = ("lot", "amount", "remaining", "revoked", "expires_at", "transfer")
    readonly_fields = fields
    verbose_name_plural = "Lots"

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("grant")

    @admin.display(description="lot")
    def lot(self, row: PaymentGrant) -> str:
        return link_to(row.grant, f"lot {row.grant_id}")

    @admin.display(description="granted")
    def amount(self, row: PaymentGrant) -> str:
        return amount(row.grant.amount)

    @admin.display(description="left")
    def remaining(self, row: PaymentGrant) -> str:
        return amount(row.grant.remaining)

    @admin.display(description="revoked")
    def revoked(self, row: PaymentGrant) -> str:
        return amount(row.grant.revoked)

    @admin.display(description="expires")
    def expires_at(self, row: PaymentGrant) -> str:
        until = row.grant.expires_at
        return f"{until:%Y-%m-%d}" if until else "never"

    @admin.display(description="transfer")
    def transfer(self, row: PaymentGrant) -> str:
        return link_to(Transfer(pk=row.grant.transfer_id), f"transfer {row.grant.transfer_id}")


def amount(microcredits: int) -> str:
    return format_html("<code>{}</code>", format_credits(microcredits))


class RefundForm(ConfirmedForm):
    """Money back for a payment, whole or in part; what it does to the wallet is said before."""

    amount = MoneyFormField()
    reason = reason_field("Kept in the history; Stripe is not told.")

    def __init__(self, *args: Any, payment: Payment, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.payment = payment
        self.left = left_to_refund(payment)
        field: Any = self.fields["amount"]
        field.currency = payment.currency
        field.initial = self.left
        field.help_text = f"{payment.currency.upper()}, at most {self._money(self.left)}"

    def _money(self, amount: int) -> str:
        return format_money(amount, self.payment.currency)

    def clean_amount(self) -> int:
        amount = int(self.cleaned_data["amount"])
        if amount > self.left:
            raise forms.ValidationError(f"At most {self._money(self.left)} is left to refund.")
        return amount

    def summary(self) -> str:
        amount = int(self.cleaned_data["amount"])
        effect: Effect = effect_of(self.payment, amount)
        said = f"{self.payment.user.email} gets {self._money(amount)} back"
        if not effect.revoked:
            return f"{said}. No credits are revoked."
        said += f"; {format_credits(effect.revoked)} credits are revoked."
        if effect.owed:
            said += (
                f" Of these {format_credits(effect.owed)} are spent already: they become owed, and "
                "the wallet is frozen until they are settled."
            )
        return said


class TakenBack(admin.SimpleListFilter):
    """By what became of the money."""

    title = "taken back"
    parameter_name = "back"
    _NAMES = (("refunded", "refunded"), ("disputed", "disputed"), ("no", "nothing of it"))

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return self._NAMES

    def queryset(self, request: HttpRequest, queryset: QuerySet[Payment]) -> QuerySet[Payment]:
        wanted = self.value()
        if wanted == "no":
            return queryset.filter(refunded=0, disputed=0)
        if wanted in ("refunded", "disputed"):
            return queryset.filter(**{f"{wanted}__gt": 0})
        return queryset


@admin.register(Payment)
class PaymentAdmin(SearchedByEmail, ReadOnlyAdmin):
    """Paid objects and what they granted: once each. Refunds and disputes revoke in proportion."""

    ordering = ("-id",)
    list_display = ("created", "owner", "kind", "state", "paid_", "back", "granted_", "revoked_")
    list_select_related = ("user",)
    list_filter = (TakenBack, "kind", "demo")
    search_help_text = "how the user's e-mail address begins, or an id of Stripe's"
    fields = (
        "paid_object", "owner", "kind", "plan_", "order_", "state", "paid_", "back", "disputed_",
        "granted_", "revoked_", "period", "created", "at_stripe", "transfers",
    )  # fmt: skip
    readonly_fields = fields
    inlines = (LotInline,)
    actions_detail = ("refund",)
    paid_, back, disputed_ = money("paid"), money("refunded"), money("disputed")
    granted_ = credits("granted", "granted, credits")
    revoked_ = credits("revoked", "revoked, credits")

    @admin.display(description="what was paid")
    def paid_object(self, payment: Payment) -> str:
        return format_html('<code class="fb-text">{}</code>', payment.object_id)

    @admin.display(description="plan")
    def plan_(self, payment: Payment) -> str:
        return link_to(payment.plan)

    @admin.display(description="order")
    def order_(self, payment: Payment) -> str:
        return link_to(payment.order)

    @display(description="state", label=LABELS)
    def state(self, payment: Payment) -> str:
        if payment.demo:
            return "demo"
        if payment.disputed:
            return "disputed"
        if payment.refunded:
            return "refunded" if payment.refunded >= payment.paid else "partly refunded"
        return "paid"

    @admin.display(description="period")
    def period(self, payment: Payment) -> str:
        if not payment.period_start or not payment.period_end:
            return "-"
        return f"{payment.period_start:%Y-%m-%d} to {payment.period_end:%Y-%m-%d}"

    @admin.display(description="at Stripe")
    def at_stripe(self, payment: Payment) -> str:
        """What of it is kept here: the invoice, or the charge."""
        if payment.demo:
            return "nothing: this is the demo mode's"
        invoice = tables.Invoice.objects.filter(id=payment.object_id).first()
        charges = tables.Charge.objects.filter(
            stripe_data__payment_intent=payment.payment_intent or None
        )
        found = [link_to(row, row.id) for row in (invoice, *charges) if row]
        return format_html(" · ".join(["{}"] * len(found)), *found) if found else "not kept here"

    @admin.display(description="transfers")
    def transfers(self, payment: Payment) -> str:
        """By what the verbs wrote into them: the grant, revocations, what was restored."""
        lots = payment.lots.values("grant__transfer_id")
        rows = Transfer.objects.filter(pk__in=lots) | Transfer.objects.filter(reverses__in=lots)
        found = [
            format_html("<div>{} {} <code>{}</code></div>", link_to(row, f"transfer {row.pk}"),
                        row.kind, format_credits(row.amount))
            for row in rows.order_by("id")
        ]  # fmt: skip
        return format_html("{}" * len(found), *found) if found else "none"

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        term = search_term.strip()
        if term.startswith(("in_", "cs_")):
            return queryset.filter(object_id=term), False
        if term.startswith("pi_"):
            return queryset.filter(payment_intent=term), False
        return super().get_search_results(request, queryset, search_term)

    def has_refund_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("billing.change_payment")

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """A button where there is something to pay back."""
        payment = Payment.objects.filter(pk=object_id).first()
        offered = super().get_actions_detail(request, object_id)
        return offered if payment and left_to_refund(payment) else []

    @action(description="Refund", url_path="refund", permissions=["refund"], icon="undo",
            variant=ActionVariant.DANGER)  # fmt: skip
    def refund(self, request: HttpRequest, object_id: str) -> HttpResponse:
        payment: Any = self.get_object(request, object_id)

        def act(form: RefundForm) -> str:
            said = form.cleaned_data
            key = f"admin:{said['token']}"
            operations.refund(payment, said["amount"], key=key, actor=int(request.user.pk or 0))
            amount = format_money(said["amount"], payment.currency)
            done = f"Refunded {amount}: {said['reason']}"
            self.log_change(request, payment.user, f"{done} (payment {payment})")
            return done

        return confirm(
            request,
            model_admin=self,
            target=payment,
            allowed=self.has_refund_permission(request),
            title="Refund a payment",
            form_class=RefundForm,
            act=act,
            shown=f"{format_money(payment.paid, payment.currency)} of {payment.user.email}"
            if payment
            else "",
            payment=payment,
        )
