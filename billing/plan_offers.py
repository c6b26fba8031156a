"""The plans for sale and the prices of credits in words: for the front page and billing's."""

from dataclasses import dataclass

from django.conf import settings

from billing.models import Plan
from billing.pricing import tiers_now
from common.money import MICRO, format_money, format_price, shown_credits

FEW = 3  # models that a card names


@dataclass(frozen=True, slots=True)
class PlanOffer:
    """A plan as a card shows it. ``price`` is ``"$9.00"``; empty: it costs nothing."""

    plan: Plan
    price: str
    trial: str
    points: list[str]


def offers() -> list[PlanOffer]:
    """What is for sale: the default plan, then what has a price, the cheapest first."""
    found = Plan.objects.filter(for_sale=True)
    shown = [plan for plan in found if plan.is_default or plan.price is not None]
    return [offer_of(plan) for plan in sorted(shown, key=_order)]


def _order(plan: Plan) -> tuple[bool, int, int]:
    return (not plan.is_default, plan.price or 0, plan.pk)


def offer_of(plan: Plan) -> PlanOffer:
    return PlanOffer(
        plan=plan,
        price="" if plan.price is None else format_money(plan.price, settings.CURRENCY),
        trial=_trial(plan),
        points=[*_what_pays(plan), *_bounds(plan)],
    )


def _trial(plan: Plan) -> str:
    if plan.price is None or not plan.trial_days:
        return ""
    days = f"{plan.trial_days} {'day' if plan.trial_days == 1 else 'days'} free"
    return f"{days}, with {amount(plan.trial_allowance)}" if plan.trial_allowance else days


def amount(microcredits: int) -> str:
    """``100_000_000`` -> ``"100 credits"``, by ``CREDIT_NAME``."""
    return f"{shown_credits(microcredits)} {unit(microcredits)}"


def unit(microcredits: int) -> str:
    """``CREDIT_NAME``, and "credit" for one where it is the usual word."""
    if microcredits == MICRO and settings.CREDIT_NAME == "credits":
        return "credit"
    return str(settings.CREDIT_NAME)


def credit_prices() -> list[tuple[int, str]]:
    """From which quantity on a credit costs what: ``[(1, "$0.10"), (500, "$0.09")]``; empty where
    none are sold."""
    return [(tier.start, format_price(tier.each, settings.CURRENCY)) for tier in tiers_now()]


def _what_pays(plan: Plan) -> list[str]:
    points = []
    if plan.metering != Plan.Metering.CREDITS:
        if plan.quota_requests is not None:
            points.append(f"{plan.quota_requests:,} requests a month included")
        if plan.quota_tokens is not None:
            points.append(f"{plan.quota_tokens:,} tokens a month included")
    if plan.monthly_allowance:
        points.append(f"{amount(plan.monthly_allowance)} every month")
    if plan.metering != Plan.Metering.QUOTA:
        points.append("More can be bought at any time")
    return points


def _bounds(plan: Plan) -> list[str]:
    points = []
    if plan.requests_per_minute is not None:
        points.append(f"Up to {plan.requests_per_minute:,} requests a minute")
    if plan.tokens_per_minute is not None:
        points.append(f"Up to {plan.tokens_per_minute:,} tokens a minute")
    if plan.open_calls is not None:
        calls = "call" if plan.open_calls == 1 else "calls"
        points.append(f"{plan.open_calls:,} {calls} at a time")
    if plan.max_output_tokens is not None:
        points.append(f"Answers of up to {plan.max_output_tokens:,} tokens")
    points.append(_models(plan.allowed_models))
    return points


def _models(names: list[str]) -> str:
    if not names:
        return "All models"
    more = f" and {len(names) - FEW} more" if len(names) > FEW else ""
    return f"Models: {', '.join(names[:FEW])}{more}"
