"""What the ledger's tests share."""

from collections.abc import Iterator

import pytest

from ledger.reconcile import reconcile


@pytest.fixture
def proved(clean_books: None) -> Iterator[None]:
    """The books must reconcile when the test is over."""
    yield
    assert reconcile().violations == []
