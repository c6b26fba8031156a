"""What the pages are built of. Every value that is not markup goes through ``escape``."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from pathlib import Path

from aiohttp import web

from ..store import Object

_STYLE = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
_SIGNS = {"usd": "$", "eur": "€", "gbp": "£"}
_WHOLE = {"jpy", "krw", "vnd", "clp"}  # currencies whose minor unit is the major one
_GOOD = {"active", "trialing", "paid", "succeeded", "complete", "won"}
_BAD = {"past_due", "unpaid", "uncollectible", "failed", "lost", "incomplete", "needs_response"}


def page(title: str, body: str, *, narrow: bool = False, status: int = 200) -> web.Response:
    """A whole page. ``body`` is markup."""
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="icon" href="data:,"><style>{_STYLE}</style>'
        '</head><body><div class="bar">A fake Stripe for development: no money moves here.</div>'
        f"<main{' class=narrow' if narrow else ''}>{body}</main></body></html>"
    )
    headers = {"Cache-Control": "no-store", "Referrer-Policy": "same-origin"}
    return web.Response(text=text, content_type="text/html", status=status, headers=headers)


def money(amount: int, currency: str) -> str:
    """Minor units as people write them: ``$12.50``, ``12.50 SEK``, ``-$3.00``."""
    digits = 0 if currency in _WHOLE else 2
    whole, rest = divmod(abs(amount), 10**digits)
    text = f"{whole:,}" + (f".{rest:0{digits}}" if digits else "")
    sign = "-" if amount < 0 else ""
    if currency in _SIGNS:
        return f"{sign}{_SIGNS[currency]}{text}"
    return f"{sign}{text} {escape(currency.upper())}"


def day(epoch: int | None) -> str:
    """A date as people write it: ``21 November 2026``."""
    if epoch is None:
        return "-"
    instant = datetime.fromtimestamp(epoch, UTC)
    return f"{instant.day} {instant:%B %Y}"


def moment(epoch: int) -> str:
    """Date and time of day in UTC."""
    return f"{day(epoch)}, {datetime.fromtimestamp(epoch, UTC):%H:%M} UTC"


def tag(status: str) -> str:
    """A status as a small coloured word."""
    kind = "good" if status in _GOOD else "bad" if status in _BAD else ""
    return f'<span class="tag {kind}">{escape(status.replace("_", " "))}</span>'


def action(address: str, label: str, *, kind: str = "", **fields: str) -> str:
    """A form that is one button."""
    hidden = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in fields.items()
    )
    return (
        f'<form method="post" action="{escape(address)}">{hidden}'
        f'<button class="{escape(kind)}">{escape(label)}</button></form>'
    )


def error(message: str) -> str:
    """What went wrong, read out at once by a screen reader."""
    return f'<p class="error" role="alert">{escape(message)}</p>' if message else ""


def every(price: Object) -> str:
    """How often a price recurs: `` per month``, `` every 3 months``; nothing for one paid once."""
    if not (recurring := price.get("recurring")):
        return ""
    count, interval = recurring["interval_count"], str(recurring["interval"])
    return f" per {interval}" if count == 1 else f" every {count} {interval}s"
