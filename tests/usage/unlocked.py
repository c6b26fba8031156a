"""usage_begin without its guard, to show that what it guards against does happen."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.ledger.books import query
from tests.racing import Meeting

LOCKING = "a := ledger__lock(v_wallet);"
ACTING = "IF p_key IS NOT NULL THEN\n        p_metadata :="  # what it writes comes from here on


@contextmanager
def begins_unlocked() -> Iterator[Meeting]:
    """Without the wallet's lock, and with a meeting between looking and acting."""
    ((was,),) = query("SELECT pg_get_functiondef('usage_begin'::regproc)")
    assert LOCKING in was
    assert was.count(ACTING) == 1
    meeting = Meeting()
    unlocked = was.replace(LOCKING, "SELECT * INTO a FROM ledger_account WHERE id = v_wallet;")
    query(unlocked.replace(ACTING, f"{meeting.point} {ACTING}"))
    try:
        yield meeting
    finally:
        query(was)
