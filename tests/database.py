"""The test database of each process of a run: made once, and copied for the others.

Migrating takes longer than a hundred tests. Who comes first migrates, and leaves a copy that
nobody writes to; the copy goes with the server, which ``bin/test`` throws away.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from django.test.utils import setup_databases

_COPY = "test_farebox_as_migrated"


def make(*, keep: bool, create: bool) -> list[tuple[Any, str, bool]]:
    """The database is there, and ``connection`` uses it. What this answers is for
    ``teardown_databases``."""
    shares = not keep and "PYTEST_XDIST_WORKER" in os.environ and "FAREBOX_HOME" in os.environ
    if not shares:
        return _migrated(keep=keep and not create)
    with _alone(Path(os.environ["FAREBOX_HOME"]) / "test-database.lock"):
        if _copy_exists():
            return _copied()
        made = _migrated(keep=False)
        _close()
        _execute(f"CREATE DATABASE {_COPY} TEMPLATE {_quoted(connection.settings_dict['NAME'])}")
        return made


def _migrated(*, keep: bool) -> list[tuple[Any, str, bool]]:
    return setup_databases(
        verbosity=0,
        interactive=False,
        aliases={"default": False},  # not serialized
        keepdb=keep,
    )


def _copied() -> list[tuple[Any, str, bool]]:
    """As Django's own ``create_test_db``, but for the migrations."""
    before = connection.settings_dict["NAME"]
    name: str = connection.creation._get_test_db_name()  # type: ignore[attr-defined]
    _execute(f"CREATE DATABASE {_quoted(name)} TEMPLATE {_COPY}")
    _close()
    settings.DATABASES[connection.alias]["NAME"] = name
    connection.settings_dict["NAME"] = name
    return [(connection, before, True)]


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _copy_exists() -> bool:
    with connection._nodb_cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [_COPY])
        return cursor.fetchone() is not None


def _execute(statement: str) -> None:
    with connection._nodb_cursor() as cursor:
        cursor.execute(statement)


def _close() -> None:
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]


def _quoted(name: str) -> str:
    return str(connection.ops.quote_name(name))
