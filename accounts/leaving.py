"""Leaving: everything that is known of a user, to take along; and its end, when they go.

Each app adds its part, and none below it knows: ``@exports`` a section of the export,
``@on_leaving`` a step of the deletion. They register when the apps are ready.

The user's row stays as a tombstone, so that calls, months and the books keep their owner's id; it
names nobody. See ``delete_account``.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from typing import IO, Any, TypeVar

import structlog
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models, transaction
from django.utils import timezone

from accounts import notices, traces
from accounts.models import User
from common.errors import PermissionRefused

log = structlog.get_logger(__name__)

Section = Callable[[User], Any]
Step = Callable[[User], None]
S = TypeVar("S", bound=Section)
T = TypeVar("T", bound=Step)

_encoder = DjangoJSONEncoder(ensure_ascii=False)

_sections: dict[str, Section] = {}
_waiting: set[str] = set()
_steps: list[Step] = []

# Models with a relation to the user that the export has, and those it leaves out, and why.
exported: set[type[models.Model]] = set()
left_out: dict[type[models.Model], str] = {}


def exports(name: str, *covered: type[models.Model], waits: bool = False) -> Callable[[S], S]:
    """Add a section to the export: what the function answers for a user, JSON-able. An iterator
    is written as a list, an item at a time. ``covered`` are the models it is about. One that
    ``waits`` for a network has no transaction, and so no cursors."""

    def register(section: S) -> S:
        _sections[name] = section
        if waits:
            _waiting.add(name)
        exported.update(covered)
        return section

    return register


def leaves_out(model: type[models.Model], because: str) -> None:
    """Say why the export has nothing of a model that is related to the user."""
    left_out[model] = because


def on_leaving(step: T) -> T:
    """Add a step to the deletion: in its transaction, with nothing of the network in it.

    Steps run in the order of the apps, before the account's own: the ledger's first, since a
    wallet's lock goes before those of keys and users wherever calls begin and finish.
    """
    _steps.append(step)
    return step


def write_export(user: User, to: IO[bytes]) -> None:
    """Write the export as one JSON document; holds no more of it in memory than an item."""
    for piece in _document(user):
        to.write(piece.encode())


def _document(user: User) -> Iterator[str]:
    yield f'{{"exported_at": {_json(timezone.now())}'
    for name, section in _sections.items():
        yield f",\n{_json(name)}: "
        # What is read through cursors needs a transaction.
        with nullcontext() if name in _waiting else transaction.atomic():
            value = section(user)
            if isinstance(value, Iterator):
                yield from _items(value)
            else:
                yield _json(value)
    yield "\n}\n"


def _items(values: Iterable[Any]) -> Iterator[str]:
    yield "["
    separator = "\n"
    for value in values:
        yield separator + _json(value)
        separator = ",\n"
    yield "]"


def _json(value: Any) -> str:
    return _encoder.encode(value)


def is_deleted(user: User) -> bool:
    """Whether this is the tombstone of somebody who has left."""
    return user.email.endswith(f"@{traces.NOWHERE}")


def delete_account(*, user: User) -> bool:
    """End an account for good. Answers whether this call was the one that did.

    Tokens, sessions, keys, links, second factors, plan and backup end; the balance is forfeited;
    the books stay whole and name nobody. A goodbye is sent to the old address after commit. Open
    calls go on to their end and are settled. Raises ``PermissionRefused`` for staff, whose role
    another superuser takes first.
    """
    with transaction.atomic():
        # Not the full lock, which a call's finish would run into with the wallet in its hands.
        user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        if is_deleted(user):
            return False
        if user.is_staff or user.is_superuser:
            raise PermissionRefused(
                "Staff accounts are not deleted: another superuser takes the role away first."
            )
        address = user.email
        addresses = {address, *traces.addresses_of(user)}
        for step in _steps:
            step(user)
        traces.remove(user)
        _bury(user)
        transaction.on_commit(lambda: notices.goodbye(address), robust=True)
        transaction.on_commit(lambda: traces.end_pending(addresses), robust=True)
        transaction.on_commit(lambda: log.info("account deleted", user=user.pk))
    return True


def _bury(user: User) -> None:
    """Make the row a tombstone. Last of all: it takes the row's full lock."""
    user.email = f"deleted-{user.pk}@{traces.NOWHERE}"
    if User.objects.filter(email=user.email).exclude(pk=user.pk).exists():  # somebody was funny
        user.email = f"deleted-{user.pk}-{secrets.token_hex(8)}@{traces.NOWHERE}"
    user.first_name = user.last_name = ""
    user.last_login = None
    user.is_active = False
    user.set_unusable_password()
    user.groups.clear()
    user.user_permissions.clear()
    user.save()
