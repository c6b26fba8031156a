"""Reading what Stripe answers."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, overload


def linked(value: Any) -> str:
    """The id of a linked object, whether Stripe was asked to expand it or not; empty for none."""
    return str((value.get("id") if isinstance(value, Mapping) else value) or "")


@overload
def instant(epoch: int) -> datetime: ...


@overload
def instant(epoch: int | None) -> datetime | None: ...


def instant(epoch: int | None) -> datetime | None:
    """Stripe's seconds since 1970 as an instant."""
    return None if epoch is None else datetime.fromtimestamp(epoch, UTC)
