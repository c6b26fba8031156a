"""The books, to read and to search. Nothing here adds, changes or deletes."""

import json
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from unfold.decorators import display

from accounts.admin import users_whose_email_begins
from accounts.models import ApiKey, User
from common.admin import ReadOnlyAdmin, credits, is_uuid, link_to
from ledger.models import Account, Grant, Hold, IdempotencyKey, Reconciliation, Transfer

STATES = {Hold.State.OPEN: "info", Hold.State.CAPTURED: "success", Hold.State.RELEASED: "warning"}


def label_of(account: Account) -> str:
    """An account in words: whose wallet it is, or which of the system's accounts."""
    if account.owner is None:
        return str(account.get_kind_display())
    return f"{account.get_kind_display()} of {account.owner.email}"


def pretty(value: Any) -> str:
    return format_html(
        '<pre class="fb-text">{}</pre>',
        json.dumps(value, indent=2, ensure_ascii=False),
    )


def moved_by(metadata: dict[str, Any]) -> str:
    """Which of the staff, or which service. Both are named by id alone: transfers can't be changed
    when somebody leaves."""
    service = is_uuid(str(metadata.get("service", "")))
    if service and (key := ApiKey.objects.filter(pk=service).first()):
        return link_to(key, f"service {key}")
    actor = metadata.get("actor")
    if isinstance(actor, int) and (user := User.objects.filter(pk=actor).first()):
        return link_to(user)
    return str(metadata.get("service") or actor or "-")


def wallets_found(term: str) -> list[int]:
    """Accounts of the users whose address begins with ``term``."""
    owners = users_whose_email_begins(term)
    return list(Account.objects.filter(owner__in=owners).values_list("pk", flat=True))


@admin.register(Account)
class AccountAdmin(ReadOnlyAdmin):
    ordering = ("-id",)
    list_display = ("id", "label", "kind", "posted_", "held_", "owed_", "created")
    list_select_related = ("owner",)
    list_filter = ("kind",)
    search_fields = ("id",)
    search_help_text = "how the owner's e-mail address begins"
    fields = ("id", "owner_", "kind", "posted_", "held_", "owed_", "created")
    readonly_fields = fields
    posted_, held_, owed_ = credits("posted"), credits("held"), credits("owed")

    @admin.display(description="account")
    def label(self, account: Account) -> str:
        return label_of(account)

    @admin.display(description="owner")
    def owner_(self, account: Account) -> str:
        return link_to(account.owner)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Account], search_term: str
    ) -> tuple[QuerySet[Account], bool]:
        if search_term:
            queryset = queryset.filter(owner__in=users_whose_email_begins(search_term))
        return queryset, False


@admin.register(Transfer)
class TransferAdmin(ReadOnlyAdmin):
    """Each movement of credits, and for those that staff made, who did it and why."""

    ordering = ("-id",)
    list_display = ("id", "created", "kind", "amount_", "source", "target", "cause")
    list_select_related = ("debit__owner", "credit__owner")
    list_filter = ("kind",)
    search_fields = ("key",)
    search_help_text = "how the key or the user's e-mail address begins, or a hold's or call's id"
    fields = (
        "id", "created", "kind", "amount_", "source", "target", "by", "reason", "key_",
        "reverses_", "hold_", "details",
    )  # fmt: skip
    readonly_fields = fields
    amount_ = credits("amount", "amount, credits")

    @admin.display(description="from")
    def source(self, transfer: Transfer) -> str:
        return link_to(transfer.debit, label_of(transfer.debit))

    @admin.display(description="to")
    def target(self, transfer: Transfer) -> str:
        return link_to(transfer.credit, label_of(transfer.credit))

    @admin.display(description="by")
    def by(self, transfer: Transfer) -> str:
        return moved_by(transfer.metadata)

    @admin.display(description="reason")
    def reason(self, transfer: Transfer) -> str:
        return str(transfer.metadata.get("reason", "-"))

    @admin.display(description="key")
    def cause(self, transfer: Transfer) -> str:
        short = transfer.key if len(transfer.key) <= 14 else f"{transfer.key[:13]}…"
        return format_html('<code title="{}">{}</code>', transfer.key, short)

    @admin.display(description="key")
    def key_(self, transfer: Transfer) -> str:
        return format_html('<code class="fb-text">{}</code>', transfer.key)

    @admin.display(description="reverses")
    def reverses_(self, transfer: Transfer) -> str:
        return link_to(transfer.reverses, f"transfer {transfer.reverses_id}")

    @admin.display(description="hold")
    def hold_(self, transfer: Transfer) -> str:
        return link_to(Hold(pk=transfer.hold_id), transfer.hold_id) if transfer.hold_id else "-"

    @admin.display(description="metadata")
    def details(self, transfer: Transfer) -> str:
        return pretty(transfer.metadata)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Transfer], search_term: str
    ) -> tuple[QuerySet[Transfer], bool]:
        term = search_term.strip()
        if hold_id := is_uuid(term):
            found = Q(key__startswith=f"call:{hold_id}")
            if hold := Hold.objects.filter(pk=hold_id).first():
                found |= Q(debit=hold.account_id, hold=hold_id)
                found |= Q(credit=hold.account_id, hold=hold_id)
            return queryset.filter(found), False
        if term:
            wallets = wallets_found(term) if ":" not in term else []
            found = Q(key__startswith=term) | Q(debit__in=wallets) | Q(credit__in=wallets)
            return queryset.filter(found), False
        return queryset, False


@admin.register(Grant)
class GrantAdmin(ReadOnlyAdmin):
    """Lots: what each wallet is made of."""

    ordering = ("-id",)
    list_display = ("id", "wallet", "kind", "amount_", "remaining_", "expires_at", "created")
    list_select_related = ("account__owner",)
    list_filter = ("kind", "exhausted")
    search_fields = ("id",)
    search_help_text = "how the owner's e-mail address begins"
    fields = (
        "id", "wallet", "kind", "amount_", "remaining_", "revoked_", "lapsed_", "priority",
        "expires_at", "transfer_", "created",
    )  # fmt: skip
    readonly_fields = fields
    amount_, remaining_ = credits("amount"), credits("remaining")
    revoked_, lapsed_ = credits("revoked"), credits("lapsed")

    @admin.display(description="wallet")
    def wallet(self, grant: Grant) -> str:
        return link_to(grant.account, label_of(grant.account))

    @admin.display(description="transfer")
    def transfer_(self, grant: Grant) -> str:
        return link_to(Transfer(pk=grant.transfer_id), f"transfer {grant.transfer_id}")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Grant], search_term: str
    ) -> tuple[QuerySet[Grant], bool]:
        if search_term:
            queryset = queryset.filter(account__in=wallets_found(search_term))
        return queryset, False


class OpenFirst(admin.SimpleListFilter):
    """The list starts with open holds: they are few, and they are what is looked for."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("all", "all"), *Hold.State.choices[1:]]

    def choices(self, changelist: Any) -> Any:
        for choice in super().choices(changelist):
            if choice["query_string"] == changelist.get_query_string(remove=["state"]):
                choice["display"] = "open"
            yield choice

    def queryset(self, request: HttpRequest, queryset: QuerySet[Hold]) -> QuerySet[Hold]:
        if self.value() == "all" or request.GET.get("q"):
            return queryset
        return queryset.filter(state=self.value() or Hold.State.OPEN)


@admin.register(Hold)
class HoldAdmin(ReadOnlyAdmin):
    ordering = ("-id",)
    list_display = (
        "id", "wallet", "kind", "state_", "amount_", "captured_", "lease_until", "created",
    )  # fmt: skip
    list_select_related = ("account__owner",)
    list_filter = (OpenFirst,)
    search_fields = ("id",)
    search_help_text = "a hold's id, or how its owner's e-mail address begins (open holds)"
    fields = (
        "id", "wallet", "kind", "state_", "amount_", "captured_", "by", "reason", "lease_until",
        "created", "ended", "checkpoint_", "details",
    )  # fmt: skip
    readonly_fields = fields
    amount_, captured_ = credits("amount"), credits("captured")

    @display(description="state", label=STATES)
    def state_(self, hold: Hold) -> str:
        return hold.state

    @admin.display(description="wallet")
    def wallet(self, hold: Hold) -> str:
        return link_to(hold.account, label_of(hold.account))

    @admin.display(description="by")
    def by(self, hold: Hold) -> str:
        return moved_by(hold.metadata)

    @admin.display(description="reason")
    def reason(self, hold: Hold) -> str:
        return str(hold.metadata.get("reason", "-"))

    @admin.display(description="checkpoint")
    def checkpoint_(self, hold: Hold) -> str:
        return pretty(hold.checkpoint) if hold.checkpoint else "none: nothing is owed so far"

    @admin.display(description="metadata")
    def details(self, hold: Hold) -> str:
        return pretty(hold.metadata)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Hold], search_term: str
    ) -> tuple[QuerySet[Hold], bool]:
        if hold_id := is_uuid(search_term):
            return queryset.filter(pk=hold_id), False
        if search_term:  # only the open ones have an index by account
            wallets = wallets_found(search_term)
            return queryset.filter(account__in=wallets, state=Hold.State.OPEN), False
        return queryset, False


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(ReadOnlyAdmin):
    ordering = ("key",)
    list_display = ("key", "verb", "created")
    search_fields = ("key__startswith",)
    search_help_text = "how the key begins"
    fields = ("key", "verb", "input_", "result_", "created")
    readonly_fields = fields

    @admin.display(description="input")
    def input_(self, key: IdempotencyKey) -> str:
        return pretty(key.input)

    @admin.display(description="result")
    def result_(self, key: IdempotencyKey) -> str:
        return pretty(key.result)


@admin.register(Reconciliation)
class ReconciliationAdmin(ReadOnlyAdmin):
    ordering = ("-id",)
    list_display = ("created", "outcome", "seconds")
    fields = ("created", "outcome", "seconds", "violations_", "counts_")
    readonly_fields = fields

    @display(description="outcome", label={"the books agree": "success", "violations": "danger"})
    def outcome(self, run: Reconciliation) -> str:
        return "violations" if run.violations else "the books agree"

    @admin.display(description="violations")
    def violations_(self, run: Reconciliation) -> str:
        return pretty(run.violations) if run.violations else "none"

    @admin.display(description="counted")
    def counts_(self, run: Reconciliation) -> str:
        return pretty(run.counts)
