"""Sums in whole minor units: prices, discounts, tax. A half is rounded up, away from zero."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal

from .store import Object


def half_up(value: Decimal) -> int:
    return int(value.quantize(Decimal(1), ROUND_HALF_UP))


def share(amount: int, part: int, whole: int) -> int:
    """``amount * part / whole``, rounded half up (of its magnitude)."""
    sign = -1 if amount < 0 else 1
    return sign * ((2 * abs(amount) * part + whole) // (2 * whole))


def of_price(price: Object, quantity: int) -> int:
    """What ``quantity`` of a price costs, by unit or by tiers (volume or graduated)."""
    if price["billing_scheme"] == "tiered":
        return _tiered(price["tiers"], price["tiers_mode"], quantity)
    if (transform := price["transform_quantity"]) is not None:
        whole, rest = divmod(quantity, transform["divide_by"])
        quantity = whole + (1 if rest and transform["round"] == "up" else 0)
    return half_up(Decimal(price["unit_amount_decimal"]) * quantity)


def _tiered(tiers: Sequence[Object], mode: str, quantity: int) -> int:
    total, done = Decimal(0), 0
    for tier in tiers:
        last = tier["up_to"] is None or quantity <= tier["up_to"]
        unit, flat = Decimal(tier["unit_amount_decimal"] or 0), tier["flat_amount"] or 0
        if mode == "volume":
            if last:
                return half_up(unit * quantity + flat)
            continue
        inside = (quantity if last else tier["up_to"]) - done
        total += unit * inside + flat
        done += inside
        if last:
            break
    return half_up(total)


def discounts(amounts: Sequence[int], coupon: Object | None, currency: str) -> list[int]:
    """What a coupon takes off each line; never more than there is, nothing off credits."""
    if coupon is None:
        return [0] * len(amounts)
    if coupon["percent_off"] is not None:
        percent = Decimal(str(coupon["percent_off"]))
        return [half_up(max(0, amount) * percent / 100) for amount in amounts]
    off = coupon["amount_off"] if coupon["currency"] == currency else 0
    total = sum(max(0, amount) for amount in amounts)
    left = min(off, total)
    parts: list[int] = []
    for amount in amounts:  # in proportion to what is left, so that the parts add up exactly
        amount = max(0, amount)
        part = share(left, amount, total) if total else 0
        parts.append(part)
        left, total = left - part, total - amount
    return parts


def tax(amount: int, basis_points: int) -> int:
    """Exclusive tax on an amount after discounts."""
    return share(amount, basis_points, 10_000)
