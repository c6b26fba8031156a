"""When a question was asked, by the one clock that all processes share: the database's."""

from datetime import datetime

from django.db import connection


def moment() -> datetime:
    """Now. Taken before Stripe is asked, it orders the answers: of two, the one that was asked for
    later is at least as new as anything that happened before it was asked for."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        asked: datetime = cursor.fetchone()[0]
    return asked
