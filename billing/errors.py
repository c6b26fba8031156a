"""Billing's errors; see ``common.errors`` for the tree."""

from typing import ClassVar

from common.errors import Conflict, Unavailable, UpstreamError


class StripeUnavailable(Unavailable):
    """Stripe is away, or not set up. Nothing was paid; trying again is safe."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retry_after=5)


class StripeRefused(UpstreamError):
    """Stripe refused what was asked of it; asking the same again will not help."""

    def __init__(self, message: str) -> None:
        super().__init__(message, should_retry=False)


class AlreadySubscribed(Conflict):
    """There is a subscription; the portal changes it."""

    type: ClassVar[str] = "invalid_request_error"
    code: ClassVar[str] = "already_subscribed"


class NoSavedCard(Conflict):
    """Nothing that Stripe could charge without the user there."""

    type: ClassVar[str] = "invalid_request_error"
    code: ClassVar[str] = "no_saved_card"
