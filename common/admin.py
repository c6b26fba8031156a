"""What every app's admin is made of: credits instead of microcredits, records that stay as they
are, pages that do not count a million rows, and actions that ask before they act."""

import uuid
from collections.abc import Callable
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import connection
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse
from django.utils.functional import cached_property
from django.utils.html import format_html
from unfold.admin import ModelAdmin, TabularInline
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from common.errors import FareboxError
from common.money import (
    format_credits,
    format_money,
    parse_credits,
    parse_money,
    plain_money,
)

COUNT_UP_TO = 1_000


class EstimatingPaginator(Paginator):
    """Counts exactly up to 1,000 rows; beyond, a whole table's size is PostgreSQL's estimate.

    A filtered list that is longer ends at its 1,000th row: narrow the filter to see more.
    """

    @cached_property
    def count(self) -> int:
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]
        counted = rows.order_by()[: COUNT_UP_TO + 1].count()
        if counted <= COUNT_UP_TO or rows.query.where:
            return min(counted, COUNT_UP_TO)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass",
                [rows.model._meta.db_table],
            )
            return max(cursor.fetchone()[0], counted)


class BigTableAdmin(ModelAdmin):
    """A list that costs the same with a thousand rows and with a million."""

    paginator = EstimatingPaginator
    show_full_result_count = False
    list_per_page = 50
    list_filter_sheet = True


class ReadOnlyAdmin(BigTableAdmin):
    """Records: nobody adds, changes or deletes one, not even by address or action."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ShownInline(TabularInline):
    """Rows beside the object they belong to, for reading; whoever sees the page sees them."""

    extra = 0
    hide_title = True

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def credits(field: str, description: str | None = None) -> Callable[[Any, Any], str]:
    """A column that shows a field of microcredits as credits."""

    @admin.display(description=description or field.replace("_", " "), ordering=field)
    def column(_admin: Any, row: Any) -> str:
        value = getattr(row, field)
        return "-" if value is None else format_html("<code>{}</code>", format_credits(value))

    return column


def money(field: str, description: str | None = None) -> Callable[[Any, Any], str]:
    """A column that shows a field of minor units in the row's ``currency``, ``$9.00``."""

    @admin.display(description=description or field.replace("_", " "), ordering=field)
    def column(_admin: Any, row: Any) -> str:
        value = getattr(row, field)
        return "-" if value is None else shown_money(value, row.currency)

    return column


def shown_money(amount: int, currency: str) -> str:
    return format_html("<code>{}</code>", format_money(amount, currency))


def link_to(target: Model | None, text: object = None) -> str:
    """A link to an object's admin page; a dash for nothing."""
    if target is None:
        return "-"
    meta = target._meta
    try:
        address = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[target.pk])
    except NoReverseMatch:
        return str(text or target)
    return format_html(
        '<a href="{}" class="text-primary-700 dark:text-primary-400 underline">{}</a>',
        address,
        text or target,
    )


def is_uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text.strip())
    except ValueError:
        return None


class CreditsFormField(forms.Field):
    """An amount typed as credits, ``"0.25"``; its value is whole microcredits, exactly."""

    widget = UnfoldAdminTextInputWidget

    def __init__(self, *, least: int = 0, **kwargs: Any) -> None:
        kwargs.setdefault("widget", UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"}))
        super().__init__(**kwargs)
        self.least = least

    def prepare_value(self, value: Any) -> Any:
        return format_credits(value) if isinstance(value, int) else value

    def to_python(self, value: Any) -> int | None:
        if value in self.empty_values:
            return None
        try:
            amount = parse_credits(str(value).strip())
        except ValueError as error:
            raise forms.ValidationError(f"The amount {error}.") from None
        if amount < self.least:
            raise forms.ValidationError(f"At least {format_credits(self.least)} credits.")
        return amount

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(initial != self.to_python(data))
        except forms.ValidationError:
            return True


class MoneyFormField(forms.Field):
    """An amount typed as money, ``"9.00"``; its value is whole minor units of ``CURRENCY``, or of
    the ``currency`` that a form sets."""

    def __init__(self, *, currency: str = "", **kwargs: Any) -> None:
        kwargs.setdefault("widget", UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"}))
        super().__init__(**kwargs)
        self._currency = currency

    @property
    def currency(self) -> str:
        return self._currency or str(settings.CURRENCY)

    @currency.setter
    def currency(self, code: str) -> None:
        self._currency = code

    def prepare_value(self, value: Any) -> Any:
        return plain_money(value, self.currency) if isinstance(value, int) else value

    def to_python(self, value: Any) -> int | None:
        if value in self.empty_values:
            return None
        if isinstance(value, int):
            return value
        try:
            amount = parse_money(str(value).strip(), self.currency)
        except ValueError as error:
            raise forms.ValidationError(f"The amount {error}.") from None
        if amount < 1:
            raise forms.ValidationError("The amount must be above zero.")
        return amount

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(initial != self.to_python(data))
        except forms.ValidationError:
            return True


class ConfirmedForm(forms.Form):
    """A form that is shown again before it counts. ``token`` makes sending it twice count once."""

    token = forms.UUIDField(widget=forms.HiddenInput)

    def summary(self) -> str:
        """What will happen, in a sentence, once the form is valid."""
        raise NotImplementedError

    def confirmed_fields(self) -> list[tuple[str, Any]]:
        """Label and value of the visible fields, for the page that asks once more."""
        shown = [name for name in self.fields if name != "token"]
        return [(str(self[name].label), self._chosen(name)) for name in shown]

    def _chosen(self, name: str) -> Any:
        """What was typed; of a choice its words."""
        value = self[name].value()
        choices = getattr(self.fields[name], "choices", ())
        return next((words for key, words in choices if str(key) == str(value)), value)


def reason_field(help_text: str = "Kept with the transfer, and in the history.") -> forms.CharField:
    return forms.CharField(
        max_length=300,
        strip=True,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text=help_text,
    )


def confirm(
    request: HttpRequest,
    *,
    model_admin: ModelAdmin,
    target: Model | None,
    allowed: bool,
    title: str,
    form_class: type[Any],
    act: Callable[[Any], str],
    shown: str = "",
    **form_arguments: Any,
) -> HttpResponse:
    """Ask, show what will happen, and do it on the second POST; then say what was done.

    ``act`` is given the valid form and answers the sentence for the message and the history. What
    it refuses (``FareboxError``) is shown on the form. Whom ``allowed`` does not cover gets
    a 403. ``shown`` is what the page calls the target, if not what it is as text.
    """
    if target is None or not allowed:
        raise PermissionDenied
    meta = target._meta
    back = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[target.pk])
    token = {"token": uuid.uuid4()}
    data: Any = request.POST if request.method == "POST" else None
    form = form_class(data=data, initial=token, **form_arguments)
    if data is None and not form.confirmed_fields():  # there is nothing to be asked for first
        form = form_class(data=token, **form_arguments)
    ready = form.is_bound and form.is_valid() and "edit" not in request.POST
    if ready and "confirmed" in request.POST:
        try:
            said = act(form)
        except FareboxError as error:
            form.add_error(None, error.message)
            ready = False
        else:
            model_admin.log_change(request, target, said)
            messages.success(request, said)
            return HttpResponseRedirect(back)
    context = {
        **model_admin.admin_site.each_context(request),
        "title": title,
        "opts": meta,
        "original": shown or target,
        "form": form,
        "back": back,
        "ready": ready,
    }
    return TemplateResponse(request, "admin/confirm.html", context)
