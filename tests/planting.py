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

PLANS = ("billing_plan",)
PROVIDERS = ("usage_provider", "usage_providerkey")  # what refers comes last

_COLUMNS = """
SELECT attname FROM pg_attribute
WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
"""


def plant_as_migrated() -> None:
    """By the migrations' own functions; leaves alone what is there."""
    with connection.cursor() as cursor:
        cursor.execute(_system_accounts())
    _make_plans()
    _make_providers()


def plant() -> None:
    """The same in a database that has just been emptied."""
    _execute(_system_accounts(), _rows_of_plans(), _rows_of_providers())


def plant_beside_models() -> None:
    """The same where models and their providers have stayed."""
    _execute(_system_accounts(), _rows_of_plans())


def _execute(*statements: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(";\n".join(statements))


def _system_accounts() -> str:
    statements: str = import_module("ledger.migrations.0002_functions").SYSTEM_ACCOUNTS
    return statements.strip().removesuffix(";")


def _make_plans() -> None:
    import_module("billing.migrations.0002_plans").make_plans(apps, None)
    import_module("billing.migrations.0005_price_of_pro").give_pro_a_price(apps, None)


def _make_providers() -> None:
    import_module("usage.migrations.0007_first_providers").make_providers(apps, None)


# Whoever asks first, in an emptied database, makes the rows that all later ones copy.


@cache
def _rows_of_plans() -> str:
    _make_plans()
    return _as_statements(PLANS)


@cache
def _rows_of_providers() -> str:
    _make_providers()
    return _as_statements(PROVIDERS)


def _as_statements(tables: tuple[str, ...]) -> str:
    """What puts the rows of ``tables`` where they are missing."""
    with connection.cursor() as cursor:
        inserts = []
        for table in tables:
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
    return ";\n".join(inserts)
