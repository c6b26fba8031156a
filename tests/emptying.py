"""Emptying a test database between tests, in milliseconds.

TRUNCATE makes new files for every table and index, a fifth of a second for all of them. Deleting
the few rows that a test wrote is ten times faster; the triggers by which the ledger refuses that,
and foreign keys, are off meanwhile, which takes a superuser.
"""

from collections.abc import Collection

from django.db import connection, transaction


def empty(kept: Collection[str]) -> None:
    """Delete every row of every table but those of ``kept``, when whoever writes there is done."""
    names = connection.introspection.django_table_names(only_existing=True)
    tables = [connection.ops.quote_name(name) for name in names if name not in kept]
    has_rows = " UNION ALL ".join(
        f"SELECT '{table}' WHERE EXISTS (SELECT FROM {table})" for table in tables
    )
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE")
        cursor.execute(has_rows)
        found = [row[0] for row in cursor.fetchall()]
        cursor.execute("SET LOCAL session_replication_role = replica")
        for table in found:
            cursor.execute(f"DELETE FROM {table}")
