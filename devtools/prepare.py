"""Between the servers and the programs: the tables, the static files, the demo data."""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg

from devtools.environment import flag, given
from devtools.processes import ROOT, run_step
from devtools.say import note, say

MANAGE = [sys.executable, str(ROOT / "manage.py")]
# Whether these are set decides which models there are.
PROVIDERS = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL")
STATIC = ROOT / "build" / "static"  # where settings.STATIC_ROOT points
SOURCES = ("*/migrations/*.py", "*/sql/*.sql", "static/**/*", "requirements.txt")


class CannotStart(Exception):
    """Something stands in the way; the message says what, and what to do."""


@dataclass(frozen=True)
class Demo:
    """What ``manage.py seed_demo`` prints as one line of JSON."""

    email: str
    password: str
    api_key: str
    model: str


class Preparation:
    """What must be done to a database before the programs may start.

    ``check`` is called all the while a step runs, and may raise to break off.
    """

    def __init__(self, env: Mapping[str, str], home: Path, check: Callable[[], None]) -> None:
        self._env = env
        self._check = check
        self._stamp = home / "prepared"

    def is_done(self) -> bool:
        """True when nothing that ``run`` looks at changed since it last ended, so that the
        programs may start at once. Spares several seconds at each start but the first."""
        return self._stamp.exists() and self._stamp.read_text() == self._fingerprint()

    def run(self) -> None:
        """Migrate, collect static files for production settings, seed."""
        migrate(self._env, self._check)
        if not flag(self._env, "DEBUG", True):
            manage(self._env, self._check, "collectstatic", "--noinput", "--verbosity", "0")
        self.seed()
        self._stamp.write_text(self._fingerprint())

    def seed(self) -> Demo | None:
        """Bring models up to date and make sure of the demo user and key.

        None where payments are real: nobody gets credits for nothing there.
        """
        paying = flag(self._env, "ENABLE_PAYMENTS", bool(given(self._env, "STRIPE_SECRET_KEY")))
        free = flag(self._env, "DEBUG", True) or flag(self._env, "ALLOW_DEMO", False)
        if paying and not free:
            manage(self._env, self._check, "sync_models")
            return None
        lines = manage(self._env, self._check, "seed_demo")
        try:
            seeded = json.loads(lines[-1])
            return Demo(**{name: str(seeded[name]) for name in Demo.__dataclass_fields__})
        except (IndexError, ValueError, KeyError, TypeError):
            raise CannotStart("manage.py seed_demo did not print its line of JSON") from None

    def sync_plans(self) -> None:
        """Give Stripe the plans, and the address of the web server to tell what happens."""
        manage(self._env, self._check, "sync_plans")

    def _fingerprint(self) -> str:
        """Over the migrations on disk and in the database, static files, versions, providers."""
        known = hashlib.sha256()
        for path in sorted(path for pattern in SOURCES for path in ROOT.glob(pattern)):
            if path.is_file():
                known.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
        collected = (STATIC / "staticfiles.json").exists()
        words = [given(self._env, name) for name in PROVIDERS]
        words += [str(flag(self._env, "DEBUG", True)), str(collected)]
        known.update(json.dumps([words, applied_migrations(self._env["DATABASE_URL"])]).encode())
        return known.hexdigest()


def applied_migrations(url: str) -> list[tuple[str, str]]:
    """What the database says was applied to it; nothing for a new one."""
    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            return connection.execute(
                "SELECT app, name FROM django_migrations ORDER BY 1, 2"
            ).fetchall()
    except psycopg.errors.UndefinedTable:
        return []


def make_static_folder() -> None:
    """Whitenoise warns of a folder that is not there, which before collectstatic it need not be."""
    STATIC.mkdir(parents=True, exist_ok=True)


def check_own_servers() -> None:
    """Say clearly when the servers that the user named can't be reached."""
    database, queue = given(os.environ, "DATABASE_URL"), given(os.environ, "REDIS_URL")
    try:
        if database:
            psycopg.connect(database, connect_timeout=10).close()
    except psycopg.Error as error:
        raise CannotStart(
            f"DATABASE_URL: can't connect: {str(error).strip()}\n"
            "The database must exist; leave DATABASE_URL unset to use the embedded one"
        ) from None
    if queue:
        check_queue(queue)


def check_queue(url: str) -> None:
    import redis  # here, because it takes a third of a second that most starts have no use for

    try:
        with redis.Redis.from_url(url, socket_connect_timeout=10) as client:
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
