"""What PostgreSQL refuses, whoever asks."""

import pytest
from django.db import DatabaseError, IntegrityError, connection

from ledger import verbs
from tests.ledger.books import LEASE, balance

pytestmark = pytest.mark.usefixtures("proved")


@pytest.fixture
def hold(wallet, fund):
    """An ended hold of a wallet with a lot, a transfer and a key."""
    fund(wallet, 100)
    held = verbs.hold(account=wallet, amount=10, key="hold", kind="api", lease=LEASE).hold
    verbs.capture(hold=held, amount=5, key="capture")
    return held


def execute(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.rowcount


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE ledger_transfer SET amount = 1",
        "DELETE FROM ledger_transfer",
        "DELETE FROM ledger_account WHERE kind = 'wallet'",
        "DELETE FROM ledger_hold",
        "DELETE FROM ledger_grant",
        "UPDATE ledger_idempotencykey SET result = '{}'",
        "UPDATE ledger_hold SET state = 'open', ended = NULL, captured = 0",
    ],
)
def test_history_stays_as_it_was(hold, sql):
    with pytest.raises(DatabaseError, match="append-only"):
        execute(sql)


@pytest.mark.parametrize(
    ("sql", "constraint"),
    [
        ("UPDATE ledger_account SET posted = held - 1", "ledger_account_covered"),
        ("UPDATE ledger_account SET held = posted + 1", "ledger_account_covered"),
        ("UPDATE ledger_account SET held = -1", "ledger_account_covered"),
        ("UPDATE ledger_account SET owed = -1", "ledger_account_owed"),
        ("UPDATE ledger_grant SET remaining = -1", "ledger_grant_remaining"),
        ("UPDATE ledger_grant SET remaining = amount + 1", "ledger_grant_remaining"),
        (
            "INSERT INTO ledger_transfer (debit_id, credit_id, amount, kind, key, metadata)"
            " VALUES (1, 3, 0, 'capture', 'x', '{}')",
            "ledger_transfer_amount",
        ),
        (
            "INSERT INTO ledger_transfer (debit_id, credit_id, amount, kind, key, metadata)"
            " VALUES (3, 3, 1, 'capture', 'x', '{}')",
            "ledger_transfer_two_accounts",
        ),
        (
            "INSERT INTO ledger_transfer (debit_id, credit_id, amount, kind, key, metadata)"
            " VALUES (1, 3, 1, 'capture', 'capture', '{}')",
            "ledger_transfer_one_a_key",
        ),
    ],
)
def test_no_statement_breaks_a_rule_of_the_books(hold, sql, constraint):
    with pytest.raises(IntegrityError, match=constraint):
        execute(sql)


def test_an_open_hold_may_change_and_end(wallet, fund):
    """The control: what is refused above is refused for its being over."""
    fund(wallet, 100)
    held = verbs.hold(account=wallet, amount=10, key="hold", kind="api", lease=LEASE).hold

    assert execute("UPDATE ledger_hold SET lease_until = lease_until + interval '1 second'") == 1
    verbs.release(hold=held, key="release")

    assert balance(wallet) == (100, 0, 0)
