"""Reading Stripe's lists, page after page."""

from collections.abc import Iterator
from typing import Any

from billing.gateway.client import api, asking

PAGE = 100  # Stripe's most


def listing(path: str, **filters: Any) -> Iterator[dict[str, Any]]:
    """Every object of a list such as ``"/v1/events"``, newest first, as JSON.

    Asked for a page at a time while it is read, so the reader must not be in a transaction when
    it goes on. Raises ``StripeUnavailable`` and ``StripeRefused``.
    """
    while True:
        with asking(f"list {path}"):
            page: Any = api().raw_request("get", path, limit=PAGE, **filters).data
        yield from page["data"]
        if not page["has_more"]:
            return
        filters["starting_after"] = page["data"][-1]["id"]


def rest_of(page: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every object of a list that stands inside of another object, such as an invoice's lines:
    those that were sent along, and the others if there are more."""
    yield from page["data"]
    if page.get("has_more"):
        yield from listing(page["url"], starting_after=page["data"][-1]["id"])
