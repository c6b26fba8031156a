"""What billing's pages have in common: what Stripe told, in columns, and who it is about."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import stripe
from django.conf import settings
from django.contrib import admin
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from unfold.decorators import display

from accounts.admin import users_whose_email_begins
from accounts.models import User
from billing.gateway.values import linked
from billing.models import Customer
from common.admin import ReadOnlyAdmin, link_to, shown_money

LINK = "text-primary-700 dark:text-primary-400 underline"
STATES = {
    "active": "success", "trialing": "info", "past due": "warning", "paused": "warning",
    "unpaid": "danger", "canceled": "danger", "incomplete": "warning", "inactive": "danger",
    "incomplete expired": "danger",
    "paid": "success", "open": "info", "pending": "info", "draft": "info", "void": "warning",
    "uncollectible": "danger", "failed": "danger", "expired": "warning",
    "succeeded": "success", "enabled": "success", "disabled": "danger",
    "needs response": "danger", "under review": "warning", "won": "success", "lost": "danger",
    "prevented": "success", "warning needs response": "danger",
    "warning under review": "warning", "warning closed": "success",
}  # fmt: skip
Column = Callable[[Any, Any], Any]


def told(row: Any, path: str) -> Any:
    """What Stripe said at a dotted path, ``"items.data.0.price.id"``; ``None`` where it did not."""
    value: Any = row.stripe_data
    for step in path.split("."):
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def moment(epoch: Any) -> str:
    """Epoch seconds as ``2026-11-21 15:30``, UTC."""
    if not isinstance(epoch, int):
        return "-"
    return format_html(
        '<span class="whitespace-nowrap">{}</span>',
        f"{datetime.fromtimestamp(epoch, UTC):%Y-%m-%d %H:%M}",
    )


def code(path: str, description: str) -> Column:
    """A column with an id of Stripe's."""

    @admin.display(description=description)
    def column(_admin: Any, row: Any) -> str:
        value = linked(told(row, path))
        return format_html('<code class="fb-text">{}</code>', value) if value else "-"

    return column


def text(path: str, description: str) -> Column:
    """A column with what Stripe said there."""

    @admin.display(description=description)
    def column(_admin: Any, row: Any) -> str:
        value = told(row, path)
        return str(value).replace("_", " ") if value not in (None, "") else "-"

    return column


def time(path: str, description: str) -> Column:
    @admin.display(description=description)
    def column(_admin: Any, row: Any) -> str:
        return moment(told(row, path))

    return column


def sum_of(path: str, description: str) -> Column:
    """A column of minor units, in the object's currency."""

    @admin.display(description=description)
    def column(_admin: Any, row: Any) -> str:
        value, currency = told(row, path), told(row, "currency")
        return shown_money(value, currency) if isinstance(value, int) and currency else "-"

    return column


def state(path: str = "status", description: str = "status") -> Column:
    @display(description=description, label=STATES)
    def column(_admin: Any, row: Any) -> str:
        return str(told(row, path) or "-").replace("_", " ")

    return column


def out(address: Any, words: str) -> str:
    """A link that leaves the admin, in a window of its own."""
    if not address or not str(address).startswith(("https://", "http://")):
        return "-"
    return format_html(
        '<a href="{}" target="_blank" rel="noopener noreferrer" class="{}">{}</a>',
        address, LINK, words,
    )  # fmt: skip


def dashboard(kind: str, id: str, *, live: bool | None) -> str:
    """A link to an object in Stripe's dashboard; ``kind`` is its folder there."""
    host = getattr(settings, "STRIPE_API_HOST", "") or stripe.DEFAULT_API_BASE
    if host != stripe.DEFAULT_API_BASE:
        return "none: STRIPE_API_HOST names a server that is not Stripe's"
    mode = "" if live else "test/"
    return out(f"https://dashboard.stripe.com/{mode}{kind}/{id}", "Open at Stripe")


class Title:
    """A row in the head of its page, where dj-stripe has no words for it."""

    def __init__(self, row: Any, words: str) -> None:
        self._row, self._words = row, words

    def __str__(self) -> str:
        return self._words

    def __getattr__(self, name: str) -> Any:
        return getattr(self._row, name)


class StripePage(ReadOnlyAdmin):
    """Objects of Stripe's as they are kept here, with whose they are. ``customer`` is the path to
    the customer's id; ``at_stripe`` their folder in the dashboard."""

    customer = "customer_id"
    at_stripe = ""
    ordering = ("-djstripe_id",)
    search_fields = ("id",)
    search_help_text = "an id of Stripe's, or how the user's e-mail address begins"

    def name_of(self, row: Any) -> str:
        return str(row.id)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        if not self.customer:
            return rows
        whose = Customer.objects.filter(stripe_id=OuterRef(self.customer))
        return rows.annotate(
            user_id=Subquery(whose.values("user_id")),
            user_email=Subquery(whose.values("user__email")),
        )

    @admin.display(description="user")
    def owner(self, row: Any) -> str:
        return link_to(User(pk=row.user_id), row.user_email) if row.user_id else "nobody's here"

    @admin.display(description="Stripe's id")
    def id_(self, row: Any) -> str:
        return format_html('<code class="fb-text">{}</code>', row.id)

    @admin.display(description="dashboard")
    def dashboard(self, row: Any) -> str:
        return dashboard(self.at_stripe, self.id_at_stripe(row), live=row.livemode)

    def id_at_stripe(self, row: Any) -> str:
        return str(row.id)

    @admin.display(description="kept since")
    def kept(self, row: Any) -> str:
        return f"{row.djstripe_updated:%Y-%m-%d %H:%M:%S}"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        found = Q(id=term)
        if self.customer:
            users = users_whose_email_begins(term)
            of_users = Customer.objects.filter(user__in=users).values("stripe_id")
            found |= Q(**{self.customer: term}) | Q(**{f"{self.customer}__in": of_users})
        return queryset.filter(found), False

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        if row := context.get("original"):
            context["original"] = Title(row, self.name_of(row))
            context["title"] = self.name_of(row)
            context["subtitle"] = None
        return super().render_change_form(request, context, *args, **kwargs)


def status_filter(*states: str) -> type[admin.SimpleListFilter]:
    """A filter by what Stripe calls an object's status."""

    class StatusFilter(admin.SimpleListFilter):
        title = "status"
        parameter_name = "status"

        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
            return [(state, state.replace("_", " ")) for state in states]

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            if self.value() in states:
                return queryset.filter(stripe_data__status=self.value())
            return queryset

    return StatusFilter
