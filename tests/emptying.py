"""Emptying a test database between tests, in milliseconds.

TRUNCATE makes new files for every table and index, a fifth of a second for all of them. Deleting
the few rows that a test wrote is ten times faster; the triggers by which the ledger refuses that,
and foreign keys, are off meanwhile, which takes a superuser.
"""

from collections.abc import Collection

from django.db import connection, transaction

# Folders whose tests leave the models in the database for each other, and whether some did.
SHARING = (
    "tests/proxy/", "tests/jobs/", "tests/accounts/sockets/", "tests/browser/",
    "tests/accounts/test_losing_access.py",
)  # fmt: skip
_left: list[bool] = []


def leave_models() -> None:
    """The models stay, for the servers that go on running."""
    _left[:] = [True]


def take_left() -> bool:
    """Whether there are models of such a test; the caller removes them."""
    found = bool(_left)
    _left.clear()
    return found


# Tables that were ever written, which their files tell: most of the two hundred never are.
_WRITTEN = """
SELECT quote_ident(c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname = current_schema() AND pg_relation_size(c.oid) > 0
  AND c.relname <> ALL (%s) ORDER BY c.relname
"""


def empty(kept: Collection[str]) -> None:
    """Delete every row of every table but those of ``kept``, when whoever writes there is done."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '60s'")  # a server may still be at its work
        cursor.execute(_WRITTEN, [list(kept)])
        tables = [row[0] for row in cursor.fetchall()]
        if not tables:
            return
        cursor.execute(f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE")
        cursor.execute(
            " UNION ALL ".join(
                f"SELECT '{table}' WHERE EXISTS (SELECT FROM {table})" for table in tables
            )
        )
        found = [row[0] for row in cursor.fetchall()]
        cursor.execute("SET LOCAL session_replication_role = replica")
        for table in found:
            cursor.execute(f"DELETE FROM {table}")
