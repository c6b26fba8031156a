"""Between the servers and the programs: the tables, the static files, the demo data."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import psycopg
import redis

from devtools.environment import flag, given
from devtools.processes import ROOT, run_step
from devtools.say import note, say

MANAGE = [sys.executable, str(ROOT / "manage.py")]


class CannotStart(Exception):
    """Something stands in the way; the message says what, and what to do."""


@dataclass(frozen=True)
class Demo:
    """What ``manage.py seed_demo`` prints as one line of JSON."""

    email: str
    password: str
    api_key: str
    model: str


def prepare(env: Mapping[str, str], check: Callable[[], None]) -> Demo:
    """Migrate, collect static files for production settings, and seed. May be run any number of
    times. ``check`` is called all the while and may raise to break off."""
    check_own_servers()
    migrate(env, check)
    if not flag(env, "DEBUG", True):
        manage(env, check, "collectstatic", "--noinput", "--verbosity", "0")
    lines = manage(env, check, "seed_demo")
    try:
        seeded = json.loads(lines[-1])
        return Demo(**{name: str(seeded[name]) for name in Demo.__dataclass_fields__})
    except (IndexError, ValueError, KeyError, TypeError):
        raise CannotStart("manage.py seed_demo did not print its line of JSON") from None


def check_own_servers() -> None:
    """Say clearly when the servers that the user named can't be reached."""
    database, queue = given(os.environ, "DATABASE_URL"), given(os.environ, "REDIS_URL")
    try:
        if database:
            psycopg.connect(database, connect_timeout=10).close()
    except psycopg.Error as error:
        reason = str(error).strip()
        raise CannotStart(
            f"DATABASE_URL: can't connect: {reason}\n"
            "The database must exist; leave DATABASE_URL unset to use the embedded one"
        ) from None
    try:
        if queue:
            with redis.Redis.from_url(queue, socket_connect_timeout=10) as client:
                client.ping()
    except (redis.RedisError, ValueError) as error:
        raise CannotStart(f"REDIS_URL: can't connect: {error}") from None


def migrate(
    env: Mapping[str, str], check: Callable[[], None], show: Callable[[str], None] = say
) -> None:
    """Apply what is missing, one line a migration as it is done; silent when nothing is."""
    told = False

    def progress(line: str) -> None:
        nonlocal told
        if line.startswith("  Applying "):
            if not told:
                show("farebox: migrating the database")
            told = True
            show(line)

    manage(env, check, "migrate", "--noinput", on_line=progress)


def manage(
    env: Mapping[str, str],
    check: Callable[[], None],
    *arguments: str,
    on_line: Callable[[str], None] = lambda line: None,
) -> list[str]:
    """Run a management command and return its lines; ``CannotStart`` when it fails."""
    lines: list[str] = []

    def keep(line: str) -> None:
        lines.append(line)
        on_line(line)

    code = run_step([*MANAGE, *arguments], env, keep, check)
    if code:
        for line in lines[-20:]:
            note(line)
        raise CannotStart(f"manage.py {arguments[0]} failed with exit code {code}; see above")
    return lines
