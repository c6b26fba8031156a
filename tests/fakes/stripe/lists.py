"""List endpoints: filters, cursors, ``has_more``. Newest first, as Stripe answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from . import forms
from .errors import StripeError, missing_object
from .forms import Params
from .render import page, render
from .store import TABLES, Object, Store

_RANGES = {
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
}


def answer(
    store: Store,
    table: str,
    params: Params,
    *,
    url: str,
    filters: Iterable[str] = (),
    where: Any = None,
    objects: Iterable[Object] | None = None,
) -> Object:
    """The page of a table that the parameters ask for.

    ``filters`` are fields compared for equality; ``where`` is one more condition on an object;
    ``objects``, newest first, stand for the table.
    """
    wanted = {name: forms.text(params, name) for name in filters}
    in_range = _range(params.get("created"))
    newest_first = reversed(store.tables[table].values()) if objects is None else objects
    chosen = [
        object
        for object in newest_first
        if not object.get("_hidden")
        and (where is None or where(object))
        and all(value is None or _same(object.get(n), value) for n, value in wanted.items())
        and (in_range is None or in_range(object["created"]))
    ]
    return cut(chosen, params, url=url, kind=TABLES[table], show=lambda o: render(store, o))


def cut(chosen: list[Object], params: Params, *, url: str, kind: str, show: Any) -> Object:
    """One page of what was chosen, newest first."""
    limit = forms.integer(params, "limit", 10, at_least=1)
    assert limit is not None
    if limit > 100:
        raise StripeError(
            f"This value must be less than or equal to 100 (it currently is '{limit}').",
            param="limit",
            code="parameter_invalid_integer",
        )
    after, before = forms.text(params, "starting_after"), forms.text(params, "ending_before")
    if after and before:
        raise StripeError(
            "You may only specify one of these parameters: starting_after, ending_before."
        )
    ids = [object["id"] for object in chosen]
    for name, cursor in (("starting_after", after), ("ending_before", before)):
        if cursor and cursor not in ids:
            raise missing_object(kind, cursor, name)
    if before:
        end = ids.index(before)
        found, more = chosen[max(0, end - limit) : end], end > limit
    else:
        start = ids.index(after) + 1 if after else 0
        found, more = chosen[start : start + limit], start + limit < len(chosen)
    return page([show(object) for object in found], url, has_more=more)


def _same(value: Any, wanted: str) -> bool:
    if isinstance(value, bool):
        return str(value).lower() == wanted.lower()
    return value == wanted


def _range(wanted: Any) -> Callable[[int], bool] | None:
    """Whether a moment is within what was asked for; nothing where nothing was."""
    if wanted is None:
        return None
    if isinstance(wanted, dict):
        bounds = [
            (_RANGES[name], forms.integer(wanted, name) or 0) for name in wanted if name in _RANGES
        ]
        return lambda value: all(holds(value, bound) for holds, bound in bounds)
    moment = forms.integer({"created": wanted}, "created")
    return lambda value: value == moment
