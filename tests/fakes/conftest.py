"""The fixture that the tests of the fakes share."""

from collections.abc import Iterator

import pytest

from tests.fakes.providers import FakeProviders
from tests.fakes.stripe.handle import FakeStripe
from tests.fakes.stripe.shop import Shop


@pytest.fixture
def fake() -> Iterator[FakeProviders]:
    """Both fake providers, fresh, on a free port."""
    with FakeProviders() as providers:
        yield providers


@pytest.fixture(scope="session")
def stripe_server() -> Iterator[FakeStripe]:
    """A fake Stripe for all tests of a process."""
    with FakeStripe() as fake:
        yield fake


@pytest.fixture
def shop(stripe_server: FakeStripe) -> Iterator[Shop]:
    """The fake Stripe, empty, in real time."""
    stripe_server.reset()
    yield Shop(stripe_server)
    stripe_server.reset()
