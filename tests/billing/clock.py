"""A clock that a test moves: the fake Stripe's, Python's and PostgreSQL's, together.

The ledger asks ``clock_timestamp()``. In the test's database a function of that name in the schema
``public`` adds an offset to PostgreSQL's own, and the database's connections look there first.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import time_machine
from django.db import connection

from tests.fakes.stripe.handle import FakeStripe

_SET_UP = """
CREATE TABLE public.moved_clock (offset_by interval NOT NULL);
INSERT INTO public.moved_clock VALUES ('0');
CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
    SELECT pg_catalog.clock_timestamp() + offset_by FROM public.moved_clock
$$;
"""
_TEAR_DOWN = """
DROP FUNCTION public.clock_timestamp();
DROP TABLE public.moved_clock;
"""


class MovedClock:
    """``to(instant)``: it is that time now, everywhere, and all that fell due has happened."""

    def __init__(self, fake: FakeStripe, travel: Any) -> None:
        self._fake, self._travel = fake, travel

    def to(self, year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> None:
        """UTC. Events of the way are delivered when it is over, as
        if they had been on the way."""
        there = datetime(year, month, day, hour, minute, tzinfo=UTC)
        self._fake.pause()
        self._fake.advance(there)
        self._travel.move_to(there)
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE public.moved_clock SET offset_by = %s - pg_catalog.clock_timestamp()",
                [there],
            )
        connection.close()
        self.deliver()

    def deliver(self) -> None:
        """Have everything that was held back delivered."""
        self._fake.resume(replay=True)
        self._fake.settled(60)


@contextmanager
def moved(fake: FakeStripe) -> Iterator[MovedClock]:
    """While it lasts, time is the test's."""
    name = connection.ops.quote_name(connection.settings_dict["NAME"])
    with connection.cursor() as cursor:
        cursor.execute(_SET_UP)
        cursor.execute(f"ALTER DATABASE {name} SET search_path TO public, pg_catalog")
    _begin_anew()
    try:
        with time_machine.travel(datetime.now(UTC), tick=True) as travel:
            yield MovedClock(fake, travel)
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER DATABASE {name} RESET search_path")
            cursor.execute(_TEAR_DOWN)
        _begin_anew()


def _begin_anew() -> None:
    """Connections that are open keep the search path they were opened with."""
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
