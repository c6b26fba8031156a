"""bin/test: pytest on a PostgreSQL and a Valkey of its own, thrown away at the end.

Arguments are pytest's. Tests run in four processes unless the arguments say otherwise. What the
user's environment says about providers, payments or servers is kept from the tests.

Some tests need a Chromium: see ``devtools.chromium`` for where it is looked for. Where there is
none they are skipped; ``FAREBOX_INSTALL_BROWSER=true`` installs one first, if this machine lets
us, and ``FAREBOX_REQUIRE_BROWSER=true`` makes those tests fail instead. ``FAREBOX_TEST_SIGN_UPS``
is how many sign up with forged addresses (200), which takes a tenth of a second each.
"""

import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from devtools import chromium, static
from devtools.embedded import DURABLE, THROW_AWAY, EmbeddedError, postgres_binaries
from devtools.environment import BadValue, flag
from devtools.leftovers import Register
from devtools.prepare import CannotStart
from devtools.processes import ROOT
from devtools.say import mutter
from devtools.servers import SERVERS, start_servers
from devtools.signals import Stopped, StopSignals, run_foreground
from devtools.supervise import GaveUp, Supervisor

# Beside the settings listed in .env.example. A proxy would swallow calls to fakes on loopback.
FOREIGN = re.compile(
    r"(OPENAI|ANTHROPIC|STRIPE|DJSTRIPE|DJANGO|CELERY|PG)_?\w*|\w+_BASE_URL|\w+_proxy",
    re.IGNORECASE,
)


def main() -> int:
    signals = StopSignals()
    signals.install()
    folder = Path(tempfile.mkdtemp(prefix="farebox-test-")).resolve()
    supervisor = Supervisor(mutter, signals, Register(folder / "children.json"))
    try:
        durable = flag(os.environ, "FAREBOX_TEST_FSYNC", False)
        found, _ = start_servers({}, folder, supervisor, mutter, DURABLE if durable else THROW_AWAY)
        env = test_environment(os.environ, folder) | found
        if path := browser():
            env["CHROMIUM"] = path
        static.collect(env, supervisor.poll)
        pytest = [sys.executable, "-m", "pytest", *parallel(sys.argv[1:]), *sys.argv[1:]]
        # SIGINT, because pytest then tears down what its tests have set up.
        return run_foreground(pytest, env, signals, signal.SIGINT)
    except Stopped:
        return 130
    except (BadValue, CannotStart, EmbeddedError, GaveUp, OSError) as error:
        mutter(str(error))
        return 1
    finally:
        supervisor.stop(*SERVERS)
        shutil.rmtree(folder, ignore_errors=True)


def browser() -> str:
    """Chromium's path for the tests; empty when they must do without."""
    install = flag(os.environ, "FAREBOX_INSTALL_BROWSER", False)
    path = chromium.find_or_install(os.environ, mutter) if install else chromium.find(os.environ)
    if not path:
        mutter(chromium.MISSING)
    return path


def parallel(arguments: Sequence[str]) -> list[str]:
    """Four processes for two cores, since many tests wait for something; unless the arguments
    choose a number, no xdist, or a debugger."""
    chosen = re.compile(r"-n\d*|-n=?\w+|--numprocesses.*|(-p\s*)?no:xdist|--pdb|--trace|--dist.*")
    if any(chosen.fullmatch(argument) for argument in arguments):
        return []
    # By file, so that one that starts servers for its tests starts them once, in the order of
    # tests/conftest.py. (The groups of pytest-xdist 3.8 have no effect under pytest 9.2.)
    return ["-n", "4", "--dist", "loadfile", "--no-loadscope-reorder"]


def test_environment(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The user's environment without any setting of Farebox, and with those the tests rest on."""
    settings = setting_names(ROOT / ".env.example") | {"FAREBOX_HOME", "WEB_CONCURRENCY"}
    kept = {
        name: value
        for name, value in environ.items()
        if name not in settings and not FOREIGN.fullmatch(name)
    }
    return kept | {
        "DEBUG": "true",
        "SECRET_KEY": "for-tests-only-" + "0123456789" * 5,
        "FAREBOX_HOME": str(folder),
        # All tests call from one address; those of the limits set their own.
        "SIGN_IN_RATE_ADDRESS": "1000000",
        "API_RATE_USER": "1000000/minute",
        "API_RATE_ADDRESS": "1000000/minute",
        "BUY_RATE_USER": "1000000/minute",
        "FAREBOX_TEST_PGBIN": str(postgres_binaries()),
    }


def setting_names(example: Path) -> set[str]:
    """The variables that .env.example lists, commented out or not."""
    if not example.exists():
        return set()
    return set(re.findall(r"^\s*#?\s*([A-Z][A-Z0-9_]+)=", example.read_text(), re.M))


if __name__ == "__main__":
    sys.exit(main())
