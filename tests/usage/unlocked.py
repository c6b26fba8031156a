"""usage_begin without its guard, to show that what it guards against does happen."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.ledger.books import query

LOCKING = "a := ledger__lock(v_wallet);"
ACTING = "UPDATE ledger_account SET held = ledger_account.held + usage_begin.held"


@contextmanager
def begins_unlocked(seconds: float = 0.02) -> Iterator[None]:
    """Without the wallet's lock, and so much slower between looking and acting."""
    ((was,),) = query("SELECT pg_get_functiondef('usage_begin'::regproc)")
    assert LOCKING in was
    assert ACTING in was
    unlocked = was.replace(LOCKING, "SELECT * INTO a FROM ledger_account WHERE id = v_wallet;")
    query(unlocked.replace(ACTING, f"PERFORM pg_sleep({seconds}); {ACTING}"))
    try:
        yield
    finally:
        query(was)
