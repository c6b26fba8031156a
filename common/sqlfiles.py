"""Installing the SQL functions that live in an app's ``sql`` folder.

A function's text is kept in a file, reviewed as code, and installed by a migration with
``CREATE OR REPLACE``. A later change edits the file and adds a migration that installs it again.
"""

from pathlib import Path

from django.db import migrations

BASE_DIR = Path(__file__).resolve().parent.parent


def install(app: str, *names: str) -> migrations.RunSQL:
    """A migration operation that runs ``<app>/sql/<name>.sql`` for each name, in order."""
    text = "\n".join((BASE_DIR / app / "sql" / f"{name}.sql").read_text() for name in names)
    # A one-element list is sent whole; a plain string would be split at semicolons.
    return migrations.RunSQL([text], reverse_sql=migrations.RunSQL.noop)
