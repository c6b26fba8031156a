"""bin/manage: ``manage.py`` in the environment of FAREBOX_HOME.

A running ``bin/dev`` lends its servers; otherwise they are started for the command's duration.
Standard output carries the command's output alone, for commands print JSON that scripts read.
"""

import os
import signal
import sys
import time

from devtools.embedded import EmbeddedError, postgres_binaries
from devtools.environment import BadValue, given, project_environment
from devtools.home import Busy, Home
from devtools.leftovers import Register
from devtools.prepare import MANAGE, CannotStart, migrate
from devtools.processes import TICK
from devtools.say import mutter
from devtools.servers import SERVERS, start_servers
from devtools.signals import Stopped, StopSignals, run_foreground
from devtools.supervise import GaveUp, Supervisor

# Commands that make sense on an empty database, or make it themselves.
NEED_NO_TABLES = {
    "migrate",
    "makemigrations",
    "showmigrations",
    "sqlmigrate",
    "check",
    "help",
    "test",
}


def main() -> int:
    signals = StopSignals()
    signals.install()
    try:
        home = Home.locate(os.environ)
        if given(os.environ, "DATABASE_URL") and given(os.environ, "REDIS_URL"):
            return command(project_environment(os.environ, home), signals)
        return with_home(home, signals)
    except Stopped:
        return 130
    except (BadValue, CannotStart, EmbeddedError, GaveUp, OSError) as error:
        mutter(str(error))
        return 1


def with_home(home: Home, signals: StopSignals) -> int:
    """Run with what a running bin/dev published, or own the home and bring up the servers."""
    waiting = False
    while True:
        try:
            with home.owned("manage"):
                return with_own_servers(home, signals)
        except Busy as busy:
            published = home.published()
            if published:
                return command(project_environment(merged(published), home), signals)
            if not waiting:
                mutter(f"waiting for {busy}")
                waiting = True
        signals.check()
        time.sleep(TICK)


def merged(published: dict[str, str]) -> dict[str, str]:
    """The user's own environment, and beneath it what bin/dev published."""
    return {**os.environ, **{n: v for n, v in published.items() if not given(os.environ, n)}}


def with_own_servers(home: Home, signals: StopSignals) -> int:
    register = Register(home.path / "children.json")
    register.stop_leftovers(mutter)
    env = project_environment(os.environ, home)
    supervisor = Supervisor(mutter, signals, register)
    try:
        found, made = start_servers(env, home.path, supervisor, mutter)
        env |= found
        if made and not NEED_NO_TABLES.intersection(sys.argv[1:2] or ["help"]):
            migrate(env, signals.check, mutter)
        return command(env, signals)
    finally:
        supervisor.stop(*SERVERS)


def command(env: dict[str, str], signals: StopSignals) -> int:
    # dbshell looks for psql.
    env["PATH"] = os.pathsep.join([env.get("PATH", os.defpath), str(postgres_binaries())])
    return run_foreground([*MANAGE, *sys.argv[1:]], env, signals, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
