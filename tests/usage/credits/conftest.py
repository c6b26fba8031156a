from collections.abc import Callable

import pytest

from accounts import services
from ledger.models import Account, Hold, IdempotencyKey, Transfer
from tests.usage.credits.service import Service


@pytest.fixture
def shop(_writable: None) -> Service:
    return Service(services.issue(name="shop"))


@pytest.fixture
def other(_writable: None) -> Service:
    """Another back end, with the same owner."""
    return Service(services.issue(name="other"))


@pytest.fixture
def books(_writable: None) -> Callable[[], object]:
    """What there is in the books: the same before and after what moves nothing."""

    def books() -> object:
        return (
            list(Account.objects.order_by("pk").values("pk", "posted", "held", "owed")),
            list(Hold.objects.order_by("pk").values("pk", "state", "captured")),
            Transfer.objects.count(),
            IdempotencyKey.objects.count(),
        )

    return books
