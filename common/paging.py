"""Pages of a table that only grows at its newest end, by keyset: each page costs the same.

A cursor says "before" or "after" and the place of a row; to callers it is opaque. Rows that arrive
while somebody reads move nothing: no row is shown twice or left out.
"""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param

from common.errors import BadInput

T = TypeVar("T")
Place = tuple[str, ...]


@dataclass(frozen=True)
class Cursor:
    """Rows older than ``place`` (newest first), or with ``newer`` those newer than it."""

    place: Place
    newer: bool = False

    def __str__(self) -> str:
        text = json.dumps([int(self.newer), *self.place], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()

    @classmethod
    def read(cls, text: str, parts: int) -> "Cursor":
        """Raises ``BadInput`` for what ``str`` did not make of ``parts`` parts."""
        try:
            padded = text.encode("ascii") + b"=" * (-len(text) % 4)
            newer, *place = json.loads(base64.b64decode(padded, b"-_", validate=True))
        except (ValueError, binascii.Error, TypeError, RecursionError):
            raise bad_cursor() from None
        if newer not in (0, 1) or len(place) != parts:
            raise bad_cursor()
        if not all(isinstance(part, str) and len(part) <= 64 for part in place):
            raise bad_cursor()
        return cls(tuple(place), bool(newer))


def bad_cursor() -> BadInput:
    return BadInput("cursor: take it from next or previous as it is.", param="cursor")


def paginate(
    request: Request,
    *,
    cursor: Cursor | None,
    limit: int,
    fetch: Callable[[Cursor | None, int], Sequence[T]],
    place: Callable[[T], Place],
) -> dict[str, Any]:
    """``{"next", "previous", "results"}``: results newest first, the others addresses or ``None``.

    ``fetch(cursor, count)`` answers at most ``count`` rows nearest to the cursor, in the direction
    it says: newest first for older rows, oldest first for newer ones.
    """
    rows = list(fetch(cursor, limit + 1))
    more = len(rows) > limit
    rows = rows[:limit]
    if cursor and cursor.newer:
        rows.reverse()
        older, newer = True, more
    else:
        older, newer = more, cursor is not None

    def link(wanted: bool, to: Cursor | None) -> str | None:
        if not wanted or to is None:
            return None
        return replace_query_param(request.build_absolute_uri(), "cursor", str(to))

    return {
        "next": link(older, Cursor(place(rows[-1])) if rows else None),
        "previous": link(newer, Cursor(place(rows[0]), newer=True) if rows else None),
        "results": rows,
    }
