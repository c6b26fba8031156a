"""How people pay: Stripe's settings and dj-stripe's, or the demo mode.

Everything here is read by ``config.settings``; nothing imports it otherwise.
"""

import re
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from config import env

# What the code was written and tested against; a newer one is a change to make on purpose.
STRIPE_API_VERSION = "2026-05-27.dahlia"
_KEY = re.compile(r"(sk|rk)_(test|live)_[A-Za-z0-9]{24,}")


def _stripe_key() -> str:
    key = env.text("STRIPE_SECRET_KEY")
    if key and not _KEY.fullmatch(key):
        raise ImproperlyConfigured(
            "STRIPE_SECRET_KEY: must be a secret or restricted key, such as sk_test_ and 24 "
            "characters or more"
        )
    return key


def _currency() -> str:
    value = env.text("CURRENCY", "usd").lower()
    if not re.fullmatch("[a-z]{3}", value):
        raise ImproperlyConfigured("CURRENCY: must be a code of three letters, such as usd")
    return value


def settings(*, debug: bool) -> dict[str, Any]:
    """Stripe's and dj-stripe's settings, by name. Without a key the demo mode is the default."""
    key = _stripe_key()
    enabled = env.flag("ENABLE_PAYMENTS", bool(key))
    demo = env.flag("ALLOW_DEMO", False)
    if not enabled and not debug and not demo:
        raise ImproperlyConfigured(
            "ENABLE_PAYMENTS: demo mode grants credits for nothing; with DEBUG off it also needs "
            "ALLOW_DEMO=true, or set STRIPE_SECRET_KEY"
        )
    if enabled and not key:
        raise ImproperlyConfigured("STRIPE_SECRET_KEY: is needed while ENABLE_PAYMENTS is true")
    found: dict[str, Any] = {
        "STRIPE_SECRET_KEY": key,
        "STRIPE_LIVE_MODE": "_live_" in key,
        "STRIPE_API_VERSION": STRIPE_API_VERSION,
        "STRIPE_SECONDS": env.whole("STRIPE_SECONDS", 10, least=1, most=60),
        "STRIPE_AUTOMATIC_TAX": env.flag("STRIPE_AUTOMATIC_TAX", False),
        "STRIPE_PROMOTION_CODES": env.flag("STRIPE_PROMOTION_CODES", False),
        "DJSTRIPE_FOREIGN_KEY_TO_FIELD": "id",
        "ENABLE_PAYMENTS": enabled,
        "ALLOW_DEMO": demo,
        "CURRENCY": _currency(),
        "CREDITS_LEAST": env.whole("CREDITS_LEAST", 5, least=1, most=1_000_000),
        "CREDITS_MOST": env.whole("CREDITS_MOST", 10_000, least=1, most=1_000_000),
        "PAST_DUE_GRACE_DAYS": env.whole("PAST_DUE_GRACE_DAYS", 7, most=60),
        "LOW_BALANCE_CREDITS": env.whole("LOW_BALANCE_CREDITS", 1, most=1_000_000),
        # dj-stripe warns of another host whenever DEBUG is off; ours is named on purpose.
        "SILENCED_SYSTEM_CHECKS": ["djstripe.W002"],
    }
    if found["CREDITS_LEAST"] > found["CREDITS_MOST"]:
        raise ImproperlyConfigured("CREDITS_LEAST: must not be above CREDITS_MOST")
    if host := env.url("STRIPE_API_HOST"):
        if found["STRIPE_LIVE_MODE"]:
            raise ImproperlyConfigured(
                "STRIPE_API_HOST: would show a live key to another server; use a test key with it"
            )
        found["STRIPE_API_HOST"] = host
    return found
