"""Amounts in templates."""

from django import template

from common.money import format_credits, format_money

register = template.Library()


@register.filter
def credits(microcredits: int) -> str:
    """Microcredits as a string of credits, the zeros at its end left out: ``1500000``, "1.5"."""
    return format_credits(microcredits).rstrip("0").rstrip(".")


@register.filter
def money(amount: int, currency: str) -> str:
    """Minor units as people write them: ``{{ 900|money:"usd" }}``, "$9.00"."""
    return format_money(amount, currency)
