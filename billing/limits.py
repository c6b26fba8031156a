"""How often somebody may have Stripe asked: each time costs us requests of its limits, which all
users share, and seconds of a thread."""

from django.conf import settings

from accounts.limits import hit
from accounts.models import User
from common.errors import RateLimited


def count_question(user: User) -> None:
    """Count one of ``user``'s requests that Stripe is asked about before they are answered, by
    whichever address it came. Raises ``RateLimited`` past ``BUY_RATE_USER``."""
    if waiting := hit(settings.BUY_RATE_USER, "buy", str(user.pk)):
        minutes = -(-waiting // 60)
        raise RateLimited(
            f"Too many tries at the billing pages; nothing was changed. Try again in {minutes} "
            f"{'minute' if minutes == 1 else 'minutes'}.",
            retry_after=waiting,
        )
