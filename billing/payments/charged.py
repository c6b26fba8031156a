"""What was charged for a paid object, and how much of it went back or is disputed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from billing.gateway.listing import listing

# https://docs.stripe.com/api/disputes/object#dispute_object-status: an inquiry ("warning_…") takes
# no money, and what was won or prevented came back.
BAD_DISPUTES = {"needs_response", "under_review", "lost"}


@dataclass(frozen=True, slots=True)
class Charged:
    """Minor units. ``disputed`` is open or lost, and never what was refunded, too."""

    amount: int = 0
    refunded: int = 0
    disputed: int = 0

    def __add__(self, other: "Charged") -> "Charged":
        return Charged(
            self.amount + other.amount,
            self.refunded + other.refunded,
            self.disputed + other.disputed,
        )

    def undone(self, granted: int) -> int:
        """The part of ``granted`` microcredits that goes with what was taken back, floored."""
        return granted * (self.refunded + self.disputed) // self.amount if self.amount else 0


NOTHING = Charged()


def charged(intent: dict[str, Any] | None) -> Charged:
    """By a payment intent as Stripe has it, its ``latest_charge`` expanded. Asks for the charge's
    disputes if it has any."""
    charge = intent.get("latest_charge") if intent else None
    if not charge or not charge["paid"]:
        return NOTHING
    disputes = listing("/v1/disputes", charge=charge["id"]) if charge["disputed"] else ()
    return reckon(charge, disputes)


def receipt_of(intent: Mapping[str, Any]) -> str:
    """The address of Stripe's receipt for an intent, its ``latest_charge`` expanded; or nothing."""
    charge = intent.get("latest_charge") or {}
    return str(charge.get("receipt_url") or "")


def reckon(charge: Mapping[str, Any], disputes: Iterable[Mapping[str, Any]]) -> Charged:
    """The same of a charge and its disputes."""
    amount, refunded = charge["amount"], min(charge["amount_refunded"], charge["amount"])
    disputed = sum(one["amount"] for one in disputes if one["status"] in BAD_DISPUTES)
    return Charged(amount, refunded, min(disputed, amount - refunded))
