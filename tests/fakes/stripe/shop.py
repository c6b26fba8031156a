"""What most tests of billing begin with: prices, a customer with a card, a subscription."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import stripe

from .handle import PAYS, FakeStripe


def utc(text: str) -> datetime:
    """An instant from ISO text without a zone."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class Shop:
    """A fake Stripe with a few shorthands. Amounts are cents."""

    def __init__(self, fake: FakeStripe) -> None:
        self.fake = fake
        self.api: Any = fake.api.v1  # tests say what its types forbid, too

    def price(self, cents: int, interval: str | None = "month", **more: Any) -> stripe.Price:
        """A price of a product of its own; ``interval`` None is paid once."""
        told: Any = {"currency": "usd", "unit_amount": cents, **more}
        if interval:
            told["recurring"] = {"interval": interval}
        told["product_data"] = {"name": f"Plan of {cents}"}
        return self.api.prices.create(told)

    def customer(self, card: str | None = PAYS) -> stripe.Customer:
        made = self.api.customers.create({"email": "jenny@example.com"})
        if card:
            self.fake.replace_card(made.id, card)
        return made

    def subscribe(
        self, price: stripe.Price, customer: stripe.Customer | None = None, **more: Any
    ) -> stripe.Subscription:
        """A subscription through the API, for a customer whose card pays."""
        customer = customer or self.customer()
        told: Any = {"customer": customer.id, "items": [{"price": price.id}], **more}
        return self.api.subscriptions.create(told)

    def checkout(self, price: stripe.Price, **more: Any) -> stripe.checkout.Session:
        told: Any = {
            "mode": "subscription" if price.recurring else "payment",
            "line_items": [{"price": price.id, "quantity": 1}],
            "success_url": "https://shop.test/done?session={CHECKOUT_SESSION_ID}",
            "cancel_url": "https://shop.test/back",
        }
        told |= more
        return self.api.checkout.sessions.create(told)

    def subscription(self, id: str) -> stripe.Subscription:
        return self.api.subscriptions.retrieve(id)

    def period(self, id: str) -> tuple[datetime, datetime]:
        """The present period of a subscription's first item."""
        item = self.subscription(id)["items"].data[0]
        return (
            datetime.fromtimestamp(item.current_period_start, UTC),
            datetime.fromtimestamp(item.current_period_end, UTC),
        )

    def invoices(self, subscription: str) -> list[stripe.Invoice]:
        """Oldest first."""
        found = self.api.invoices.list({"subscription": subscription, "limit": 100})
        return list(found.data)[::-1]

    def events(self, **more: Any) -> list[stripe.Event]:
        """Oldest first, at most 100."""
        told: Any = {"limit": 100, **more}
        return list(self.api.events.list(told).data)[::-1]

    def types(self) -> list[str]:
        return [event.type for event in self.events()]

    @contextmanager
    def happening(self) -> Iterator[list[str]]:
        """The types of the events of a block, in the list once the block is done."""
        before = {event.id for event in self.events()}
        types: list[str] = []
        yield types
        types += [event.type for event in self.events() if event.id not in before]
