"""The sums of an invoice, from its lines, discount, tax and the customer's balance."""

from __future__ import annotations

from .lines import total_up
from .store import Object, Store

_LEAST = 50  # cents: less is not charged but carried on the customer's balance


def sum_up(store: Store, invoice: Object) -> None:
    """Set every total of an invoice that is not yet final."""
    lines = invoice["_lines"]
    coupon, discount = _discount(store, invoice)
    basis_points = store.tax_basis_points if invoice["automatic_tax"]["enabled"] else 0
    subtotal, off, taxes = total_up(lines, coupon, basis_points, invoice["currency"])
    for line, discounted, tax in zip(lines, off, taxes, strict=True):
        line["subtotal"] = line["amount"]
        line["discount_amounts"] = (
            [{"amount": discounted, "discount": discount}] if discounted else []
        )
        line["taxes"] = [_tax(tax, line["amount"] - discounted)] if basis_points else []
    total = subtotal - sum(off) + sum(taxes)
    balance = store.get("customers", invoice["customer"])["balance"]
    net = total + balance
    due = net if net >= _LEAST else 0
    invoice.update(
        subtotal=subtotal,
        subtotal_excluding_tax=subtotal,
        total=total,
        total_excluding_tax=total - sum(taxes),
        total_discount_amounts=[{"amount": sum(off), "discount": discount}] if discount else [],
        total_pretax_credit_amounts=[],
        total_taxes=[_tax(sum(taxes), total - sum(taxes))] if basis_points else [],
        starting_balance=balance,
        amount_due=due,
        amount_remaining=due,
        _ending_balance=net - due,
    )
    if invoice["automatic_tax"]["enabled"]:
        invoice["automatic_tax"]["status"] = "complete"


def _discount(store: Store, invoice: Object) -> tuple[Object | None, str | None]:
    for id in invoice["discounts"]:
        found = store.tables["discounts"].get(id)
        if found:
            return store.tables["coupons"].get(found["source"]["coupon"]), id
    return None, None


def _tax(amount: int, taxable: int) -> Object:
    return {
        "amount": amount,
        "tax_behavior": "exclusive",
        "tax_rate_details": {"tax_rate": "txr_fake"},
        "taxability_reason": "standard_rated",
        "taxable_amount": taxable,
        "type": "tax_rate_details",
    }
