"""The state of the fake Stripe: its objects, clock and id counter, saved as one JSON file.

An object is kept as the API shows it, with references as ids; names that begin with ``_`` are the
fake's own and never leave it (``render.py``).
"""

from __future__ import annotations

import json
import os
import secrets
import string
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .errors import missing_object
from .options import Options

Object = dict[str, Any]

API_VERSION = "2026-05-27.dahlia"
ACCOUNT_ID = "acct_1FakeFareboxStripe"
DEFAULT_SECRET = "whsec_fake_farebox_0123456789abcdef"
_LETTERS = string.ascii_letters + string.digits

# What an object of a table is called in "No such customer: 'cus_1'".
TABLES = {
    "customers": "customer",
    "products": "product",
    "features": "entitlements.feature",
    "product_features": "product_feature",
    "prices": "price",
    "coupons": "coupon",
    "promotion_codes": "promotion code",
    "discounts": "discount",
    "payment_methods": "PaymentMethod",
    "setup_intents": "setupintent",
    "payment_intents": "payment_intent",
    "charges": "charge",
    "refunds": "refund",
    "disputes": "dispute",
    "balance_transactions": "balance transaction",
    "customer_balance_transactions": "customer balance transaction",
    "sessions": "checkout.session",
    "subscriptions": "subscription",
    "subscription_items": "subscription_item",
    "schedules": "subscription schedule",
    "invoices": "invoice",
    "invoice_items": "invoiceitem",
    "invoice_payments": "invoice payment",
    "portal_configurations": "billing_portal configuration",
    "portal_sessions": "billing_portal session",
    "webhook_endpoints": "webhook endpoint",
    "events": "event",
}


# A field by which a table is often searched, and which never changes in an object.
_INDEXED = {
    "charges": "customer",
    "disputes": "charge",
    "invoice_items": "_subscription",
    "invoice_payments": "invoice",
    "invoices": "_subscription",
    "refunds": "charge",
    "subscription_items": "subscription",
    "subscriptions": "customer",
}


class _Index:
    """Ids of a table's objects by the value of one field."""

    def __init__(self, table: dict[str, Object], name: str) -> None:
        self.table, self._name = table, name
        self.ids: dict[Any, list[str]] = {}
        for object in table.values():
            self.add(object)

    def add(self, object: Object) -> None:
        self.ids.setdefault(object.get(self._name), []).append(object["id"])


@dataclass
class Store:
    """All objects by table and id, in the order of their creation."""

    options: Options
    frozen: int | None = None  # the clock's epoch seconds; None is real time
    tax_basis_points: int = 0  # what automatic tax adds, in hundredths of a per cent
    paused: bool = False  # webhooks are recorded and not sent
    tables: dict[str, dict[str, Object]] = field(default_factory=dict)
    idempotency: dict[str, Object] = field(default_factory=dict)
    deliveries: list[Object] = field(default_factory=list)
    faults: list[Object] = field(default_factory=list)
    request: Object = field(default_factory=lambda: {"id": None, "idempotency_key": None})
    on_event: Callable[[Object], None] | None = None
    dirty: bool = False
    _indexes: dict[str, _Index] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tables = {name: {} for name in TABLES} | self.tables

    @property
    def base_url(self) -> str:
        """Where people reach its pages, without a slash at the end."""
        return self.options.url

    def now(self) -> int:
        """Epoch seconds on the fake's clock."""
        return int(time.time()) if self.frozen is None else self.frozen

    def new_id(self, prefix: str, length: int = 24) -> str:
        """A fresh id, never one of an earlier run."""
        return f"{prefix}_" + "".join(_LETTERS[byte % 62] for byte in secrets.token_bytes(length))

    def add(self, table: str, object: Object) -> Object:
        if table in _INDEXED and object["id"] not in self.tables[table]:
            self._index(table).add(object)
        self.tables[table][object["id"]] = object
        self.dirty = True
        return object

    def get(self, table: str, id: Any, param: str = "id") -> Object:
        """The object, or StripeError ``resource_missing`` naming ``param``."""
        found = self.tables[table].get(id) if isinstance(id, str) else None
        if found is None:
            raise missing_object(TABLES[table], str(id), param)
        return found

    def all(self, table: str) -> list[Object]:
        """Oldest first."""
        return list(self.tables[table].values())

    def find(self, id: str) -> Object | None:
        """Any object by its id, as ``expand`` needs."""
        for objects in self.tables.values():
            if id in objects:
                return objects[id]
        return None

    def where(self, table: str, **fields: Any) -> Iterator[Object]:
        """Objects whose fields have these values, oldest first."""
        found = self.all(table)
        if (name := _INDEXED.get(table)) in fields:
            ids = self._index(table).ids.get(fields[name], [])
            found = [self.tables[table][id] for id in ids if id in self.tables[table]]
        for object in found:
            if all(object.get(name) == value for name, value in fields.items()):
                yield object

    def _index(self, table: str) -> _Index:
        """Made anew when the table was replaced as a whole."""
        index = self._indexes.get(table)
        if index is None or index.table is not self.tables[table]:
            index = self._indexes[table] = _Index(self.tables[table], _INDEXED[table])
        return index

    def remove(self, table: str, id: str) -> None:
        self.tables[table].pop(id, None)
        self.dirty = True

    def clear(self) -> None:
        """As new: no object, real time, no fault."""
        self.tables = {name: {} for name in TABLES}
        self.idempotency, self.deliveries, self.faults = {}, [], []
        self.frozen, self.tax_basis_points, self.paused = None, 0, False
        self.dirty = True

    def state(self) -> Object:
        """Everything as JSON, for the file and ``GET /_fake/state``."""
        return {
            "frozen": self.frozen,
            "tax_basis_points": self.tax_basis_points,
            "paused": self.paused,
            "tables": self.tables,
            "idempotency": self.idempotency,
            "deliveries": self.deliveries,
        }

    def save(self) -> None:
        """Write the state file, whole or not at all, if one is wanted and anything changed."""
        path = self.options.state
        if path is None or not self.dirty:
            return
        self.dirty = False
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(self.state(), file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)

    def load(self) -> None:
        """Take up the state file, if there is one."""
        path = self.options.state
        if path is None or not path.exists():
            return
        self.put(json.loads(path.read_text(encoding="utf-8")))

    def put(self, state: Object) -> None:
        """Be as ``state()`` was."""
        self.frozen = state["frozen"]
        self.tax_basis_points = state["tax_basis_points"]
        self.paused = state["paused"]
        self.tables = {name: state["tables"].get(name, {}) for name in TABLES}
        self.idempotency = state["idempotency"]
        self.deliveries = state["deliveries"]
        self.dirty = True
