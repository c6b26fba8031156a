"""Stripe's own objects, to read: invoices, charges, refunds, disputes, webhook endpoints, events.

dj-stripe's pages are taken away: they change and delete what is a copy, and show its secrets.
"""

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from djstripe import models as tables
from unfold.decorators import display

from billing.admin.shown import (
    STATES,
    StripePage,
    code,
    moment,
    out,
    state,
    status_filter,
    sum_of,
    text,
    time,
    told,
)
from billing.gateway.values import linked
from billing.models import Payment
from common.admin import link_to


def remove_pages_of(app: str) -> None:
    """Unregister whatever another app has put into the admin."""
    registered: list[type[Model]] = list(admin.site._registry)
    for model in registered:
        if model._meta.app_label == app:
            admin.site.unregister(model)


remove_pages_of("djstripe")
apps.get_app_config("djstripe").verbose_name = "Stripe"


def payment_by(**found: str) -> str:
    """A link to the payment that an object of Stripe's belongs to."""
    payment = Payment.objects.filter(**found).first() if all(found.values()) else None
    return link_to(payment, "what was granted for it") if payment else "none"


@admin.register(tables.Invoice)
class InvoiceAdmin(StripePage):
    """What was billed for a plan's period. Its page at Stripe is where it is paid."""

    at_stripe = "invoices"
    list_display = ("number", "owner", "status", "total", "paid", "reason", "made")
    list_filter = (status_filter("draft", "open", "paid", "uncollectible", "void"),)
    fields = (
        "number", "id_", "owner", "status", "total", "paid", "due", "reason", "made", "attempts",
        "next_try", "lines", "payment", "page", "pdf", "dashboard", "kept",
    )  # fmt: skip
    readonly_fields = fields
    status, total, paid = state(), sum_of("total", "total"), sum_of("amount_paid", "paid")
    due, reason = sum_of("amount_remaining", "still due"), text("billing_reason", "because of")
    made, attempts = time("created", "created"), text("attempt_count", "attempts to collect")
    next_try = time("next_payment_attempt", "next attempt")

    def name_of(self, row: Any) -> str:
        return str(told(row, "number") or row.id)

    @admin.display(description="number")
    def number(self, row: Any) -> str:
        return self.name_of(row)

    @admin.display(description="lines")
    def lines(self, row: Any) -> str:
        lines = told(row, "lines.data") or []
        return format_html_join(
            "", "<div>{}: {} to {}</div>",
            ((line.get("description") or "-", moment(line["period"]["start"]),
              moment(line["period"]["end"])) for line in lines),
        ) or "-"  # fmt: skip

    @admin.display(description="payment")
    def payment(self, row: Any) -> str:
        return payment_by(object_id=row.id)

    @admin.display(description="page")
    def page(self, row: Any) -> str:
        return out(told(row, "hosted_invoice_url"), "Open the invoice as its user sees it")

    @admin.display(description="PDF")
    def pdf(self, row: Any) -> str:
        return out(told(row, "invoice_pdf"), "Download")


@admin.register(tables.Charge)
class ChargeAdmin(StripePage):
    """Charges that were refunded or disputed; others are not kept. Paid back from their payment."""

    at_stripe = "payments"
    list_display = ("id_", "owner", "status", "amount_", "back", "is_disputed", "card", "made")
    list_filter = (status_filter("succeeded", "pending", "failed"),)
    fields = (
        "id_", "owner", "status", "amount_", "back", "is_disputed", "card", "made", "failure",
        "intent", "payment", "refunds_", "disputes_", "receipt", "dashboard", "kept",
    )  # fmt: skip
    readonly_fields = fields
    status, amount_ = state(), sum_of("amount", "amount")
    back, made = sum_of("amount_refunded", "paid back"), time("created", "created")
    failure, intent = text("failure_message", "why it failed"), code("payment_intent", "intent")

    @display(description="disputed", label={"disputed": "danger"})
    def is_disputed(self, row: Any) -> str:
        return "disputed" if told(row, "disputed") else "-"

    @admin.display(description="card")
    def card(self, row: Any) -> str:
        card = told(row, "payment_method_details.card")
        return f"{card['brand']} … {card['last4']}" if card else "-"

    @admin.display(description="payment")
    def payment(self, row: Any) -> str:
        return payment_by(payment_intent=linked(told(row, "payment_intent")))

    @admin.display(description="refunds")
    def refunds_(self, row: Any) -> str:
        return links(tables.Refund.objects.filter(charge_id=row.id))

    @admin.display(description="disputes")
    def disputes_(self, row: Any) -> str:
        return links(tables.Dispute.objects.filter(charge_id=row.id))

    @admin.display(description="receipt")
    def receipt(self, row: Any) -> str:
        return out(told(row, "receipt_url"), "Open the receipt")


def links(rows: QuerySet[Any]) -> str:
    return format_html_join(" · ", "{}", ((link_to(row, row.id),) for row in rows)) or "none"


class OfCharge(StripePage):
    """What hangs on a charge, and is the user's by it."""

    at_stripe = "payments"
    customer = "charge__customer_id"

    @admin.display(description="charge")
    def charge_(self, row: Any) -> str:
        return link_to(row.charge, row.charge_id) if row.charge_id else "-"

    def id_at_stripe(self, row: Any) -> str:
        return linked(told(row, "payment_intent")) or linked(told(row, "charge"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("charge")


@admin.register(tables.Refund)
class RefundAdmin(OfCharge):
    """Money that was paid back."""

    list_display = ("id_", "owner", "status", "amount_", "reason", "made")
    list_filter = (status_filter("succeeded", "pending", "failed", "canceled"),)
    fields = (
        "id_", "owner", "status", "amount_", "reason", "failure", "made", "charge_", "payment",
        "dashboard", "kept",
    )  # fmt: skip
    readonly_fields = fields
    status, amount_ = state(), sum_of("amount", "amount")
    reason, made = text("reason", "reason"), time("created", "created")
    failure = text("failure_reason", "why it failed")

    @admin.display(description="payment")
    def payment(self, row: Any) -> str:
        return payment_by(payment_intent=linked(told(row, "payment_intent")))


@admin.register(tables.Dispute)
class DisputeAdmin(OfCharge):
    """Charges that somebody disputes at their bank. Evidence is given at Stripe, in time."""

    list_display = ("id_", "owner", "status", "amount_", "reason", "answer_by", "made")
    list_filter = (
        status_filter("needs_response", "under_review", "won", "lost", "warning_needs_response",
                      "warning_under_review", "warning_closed"),
    )  # fmt: skip
    fields = (
        "id_", "owner", "status", "amount_", "reason", "answer_by", "made", "charge_", "payment",
        "dashboard", "kept",
    )  # fmt: skip
    readonly_fields = fields
    status, amount_ = state(), sum_of("amount", "amount")
    reason, made = text("reason", "reason"), time("created", "created")
    answer_by = time("evidence_details.due_by", "evidence due by")

    @admin.display(description="payment")
    def payment(self, row: Any) -> str:
        return payment_by(payment_intent=linked(told(row, "payment_intent")))


@admin.register(tables.WebhookEndpoint)
class WebhookEndpointAdmin(StripePage):
    """Where Stripe sends its events. Their secrets are shown nowhere; ``sync_plans`` makes them."""

    customer = ""
    at_stripe = "webhooks"
    list_display = ("url", "status_", "version", "number_of_events", "made")
    fields = (
        "url", "id_", "status_", "version", "secret_", "events_", "made", "dashboard", "kept",
    )  # fmt: skip
    readonly_fields = fields
    version, made = text("api_version", "API version"), time("created", "created")
    search_help_text = "an id of Stripe's"

    def name_of(self, row: Any) -> str:
        return str(row.url)

    @display(description="status", label=STATES)
    def status_(self, row: Any) -> str:
        return str(row.status)

    @display(description="secret", label={"set": "success", "missing": "danger"})
    def secret_(self, row: Any) -> str:
        return "set" if row.secret else "missing"

    @admin.display(description="events")
    def number_of_events(self, row: Any) -> str:
        return "all" if row.enabled_events == ["*"] else str(len(row.enabled_events or []))

    @admin.display(description="events")
    def events_(self, row: Any) -> str:
        return format_html_join("", "<div>{}</div>", ((name,) for name in row.enabled_events or []))


@admin.register(tables.Event)
class EventAdmin(StripePage):
    """What Stripe told, once it was applied: what is not in this list was not heard or failed, and
    the hourly catch-up fetches it."""

    customer = ""
    at_stripe = "events"
    list_display = ("id_", "type", "made", "applied")
    fields = ("id_", "type", "about", "made", "applied", "dashboard")
    readonly_fields = fields
    search_help_text = "an event's id, or how its type begins"

    @admin.display(description="happened")
    def made(self, row: Any) -> str:
        return f"{row.created:%Y-%m-%d %H:%M:%S}" if row.created else "-"

    @admin.display(description="applied")
    def applied(self, row: Any) -> str:
        return f"{row.djstripe_created:%Y-%m-%d %H:%M:%S}"

    @admin.display(description="about")
    def about(self, row: Any) -> str:
        found = (row.data or {}).get("object") or {}
        return linked(found) or "-"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if term.startswith("evt_"):
            return queryset.filter(id=term), False
        return queryset.filter(type__startswith=term) if term else queryset, False
