"""What migrations wrote, put back after a test has emptied its database: the ledger's accounts
that belong to nobody, plans, providers.

Making the plans and providers by their models takes twenty milliseconds of CPU, which every test
with real commits would pay. Their rows are read once, and then put back by one statement.
"""

from functools import cache
from importlib import import_module

from django.apps import apps
from django.db import connection
from psycopg import sql

TABLES = ("billing_plan", "usage_provider", "usage_providerkey")  # what refers comes last

_COLUMNS = """
SELECT attname FROM pg_attribute
WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
"""


def plant_as_migrated() -> None:
    """By the migrations' own functions; leaves alone what is there."""
    with connection.cursor() as cursor:
        cursor.execute(_system_accounts())
    import_module("billing.migrations.0002_plans").make_plans(apps, None)
    import_module("billing.migrations.0005_price_of_pro").give_pro_a_price(apps, None)
    import_module("usage.migrations.0007_first_providers").make_providers(apps, None)


def plant() -> None:
    """The same in a database that has just been emptied."""
    statements = _statements()
    with connection.cursor() as cursor:
        cursor.execute(statements)


def _system_accounts() -> str:
    return str(import_module("ledger.migrations.0002_functions").SYSTEM_ACCOUNTS)


@cache
def _statements() -> str:
    """Whoever asks first, in an emptied database, makes the rows that all later ones copy."""
    plant_as_migrated()
    with connection.cursor() as cursor:
        inserts = []
        for table in TABLES:
            cursor.execute(_COLUMNS, [table])
            columns = sql.SQL(", ").join(sql.Identifier(row[0]) for row in cursor.fetchall())
            cursor.execute(f"SELECT json_agg(t)::text FROM {table} t")
            insert = sql.SQL(
                "INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} "
                "FROM json_populate_recordset(NULL::{table}, {rows}) ON CONFLICT DO NOTHING"
            ).format(
                table=sql.Identifier(table), columns=columns, rows=sql.Literal(cursor.fetchone()[0])
            )
            inserts.append(insert.as_string(cursor.connection))
    return ";\n".join([_system_accounts().rstrip().rstrip(";"), *inserts])
