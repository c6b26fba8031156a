"""Amounts in templates."""

from django import template

from common.money import format_money, shown_credits

register = template.Library()


@register.filter
def credits(microcredits: int) -> str:
    """Microcredits as credits, as people read them: ``1500000``, "1.5"."""
    return shown_credits(microcredits)


@register.filter
def money(amount: int, currency: str) -> str:
    """Minor units as people write them: ``{{ 900|money:"usd" }}``, "$9.00"."""
    return format_money(amount, currency)
