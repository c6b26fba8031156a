"""What somebody's plan is, and what happens to it next, in words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from billing.wording import day
from common.money import format_money

BOUGHT = ("stripe", "demo")  # the sources of a plan that its user can manage
_BAD, _WARN, _GOOD = "bad", "warn", "good"


@dataclass(frozen=True, slots=True)
class Standing:
    """``badge`` is a word or two with its ``tone`` (a class of the style sheet), ``lines`` are
    sentences. ``subscribed``: there is a subscription to manage; ``ending``: it is canceled;
    ``urgent``: the user has to do something."""

    slug: str
    name: str
    status: str
    badge: str
    tone: str
    lines: list[str] = field(default_factory=list)
    subscribed: bool = False
    ending: bool = False
    urgent: bool = False


def standing_of(now: Mapping[str, Any]) -> Standing:
    """From what ``billing.subscriptions`` says of a user: the body of
    ``GET /api/billing/subscription``, with its instants as they are."""
    price = now["price"]
    cost = format_money(price["amount"], price["currency"]) if price else ""
    badge, tone, lines = _words(now, cost)
    subscribed = now["source"] in BOUGHT
    return Standing(
        slug=now["plan"]["slug"],
        name=now["plan"]["name"],
        status=now["status"],
        badge=badge,
        tone=tone,
        lines=lines,
        subscribed=subscribed,
        ending=bool(now["cancel_at"]),
        urgent=subscribed and now["status"] == "past_due",
    )


def _words(now: Mapping[str, Any], cost: str) -> tuple[str, str, list[str]]:
    if now["source"] == "staff":
        return _given(now)
    if now["source"] is None:
        return _default(now)
    if now["status"] == "past_due":
        return _past_due(now)
    if now["status"] == "trialing":
        return _trial(now, cost)
    return _active(now, cost)


def _given(now: Mapping[str, Any]) -> tuple[str, str, list[str]]:
    lines = ["Given to you by the operator; you pay nothing for it."]
    if now["period_end"]:
        lines.append(f"It lasts until {day(now['period_end'])}.")
    match now["status"]:
        case "active" | "trialing":
            return now["status"], _GOOD, lines
        case "past_due":
            return "past due", _WARN, lines
        case status:
            return status, _BAD, ["The operator has stopped it. Ask them why."]


def _default(now: Mapping[str, Any]) -> tuple[str, str, list[str]]:
    ended = now.get("ended_at")
    if ended:
        return "", "", [f"Your subscription ended on {day(ended)}."]
    return "", "", ["You have no subscription."]


def _past_due(now: Mapping[str, Any]) -> tuple[str, str, list[str]]:
    lines = ["The last payment failed."]
    if now["grace_until"]:
        lines.append(f"Fix it by {day(now['grace_until'])}, or the plan ends.")
    return "payment failed", _BAD, lines


def _trial(now: Mapping[str, Any], cost: str) -> tuple[str, str, list[str]]:
    end = now["trial_end"] or now["period_end"]
    if now["cancel_at"]:
        line = f"You have canceled it: it ends on {day(now['cancel_at'])}, and nothing is charged."
        return "trial, canceled", _WARN, [line]
    lines = [f"Free until {day(end)}" + (f", then {cost} a month." if cost else ".")] if end else []
    return "trial", _GOOD, lines


def _active(now: Mapping[str, Any], cost: str) -> tuple[str, str, list[str]]:
    if now["cancel_at"]:
        end = day(now["cancel_at"])
        return "canceled", _WARN, [f"It is yours until {end}. Nothing more is charged."]
    lines = []
    if now["period_end"]:
        next_plan = now.get("scheduled_plan")
        if next_plan:
            lines.append(f"On {day(now['period_end'])} it changes to {next_plan}.")
        else:
            renews = f"Renews on {day(now['period_end'])}"
            lines.append(f"{renews} for {cost}." if cost else f"{renews}.")
    return "active", _GOOD, lines
