"""What a hub asks the database, once for all its sockets: who has lost access, and what is new."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from django.db import connection

from accounts.access import Credential

_ENDED_SQL = """
SELECT n.place - 1
FROM unnest(%s::text[], %s::text[], %s::bigint[]) WITH ORDINALITY AS n (kind, value, owner, place)
WHERE NOT accounts_has_access(n.kind, n.value, n.owner)
"""


class State(Protocol):
    """A user's state. ``balance`` and ``plan`` are compared; ``body`` is that of ``/api/me``, and
    the other two are what it says of them."""

    @property
    def balance(self) -> Any: ...
    @property
    def plan(self) -> Any: ...
    def body(self) -> Mapping[str, Any]: ...
    def balance_body(self) -> Mapping[str, Any]: ...
    def plan_body(self) -> Mapping[str, Any]: ...


# The states of users by their ids; who is not there any more is left out.
Read = Callable[[Sequence[int]], Mapping[int, State]]


def look(
    read: Read, credentials: Sequence[Credential], users: Sequence[int]
) -> tuple[list[int], Mapping[int, State]]:
    """The places of credentials that have ended, and the users' states; a query each.

    The states are read second, so whoever is told one had access after it was asked for. The
    connection goes back to its pool. Raises ``django.db.DatabaseError``.
    """
    try:
        return _ended(credentials), read(users) if users else {}
    finally:
        connection.close()


def _ended(credentials: Sequence[Credential]) -> list[int]:
    if not credentials:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            _ENDED_SQL,
            [
                [credential.kind for credential in credentials],
                [credential.value for credential in credentials],
                [credential.user for credential in credentials],
            ],
        )
        return [place for (place,) in cursor]
