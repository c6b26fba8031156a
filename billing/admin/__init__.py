"""Billing in the admin: plans and prices, who has which, what was bought and paid, and what
Stripe has of it. Each module registers its pages; ``mirrored``, the first, clears dj-stripe's away.
"""

from billing.admin import (  # noqa: F401
    mirrored,
    orders,
    payments,
    people,
    plans,
    subscriptions,
    tiers,
)
