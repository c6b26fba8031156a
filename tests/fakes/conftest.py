"""The fixture that the tests of the fakes share."""

from collections.abc import Iterator

import pytest

from tests.fakes.providers import FakeProviders


@pytest.fixture
def fake() -> Iterator[FakeProviders]:
    """Both fake providers, fresh, on a free port."""
    with FakeProviders() as providers:
        yield providers
