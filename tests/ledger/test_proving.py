"""What each test's books are proved by in the end sees what ``reconcile`` sees."""

import pytest

from ledger.reconcile import reconcile
from tests.ledger.books import query
from tests.proving import prove

pytestmark = pytest.mark.usefixtures("clean_books")


def test_books_that_are_right(wallet, fund):
    fund(wallet, 1000)
    prove()


def test_books_that_are_wrong_are_told_as_reconcile_tells_them(wallet, fund):
    fund(wallet, 1000)
    prove()  # so that the statement is planned, as it is when a later test ends
    query("UPDATE ledger_account SET posted = posted + 1 WHERE id = %s", wallet)
    violations = reconcile().violations
    assert violations

    with pytest.raises(AssertionError, match=f"wallet {wallet}: posted is 1001"):
        prove()
