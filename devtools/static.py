"""The static files, collected when they changed, for tests that run production settings."""

import fcntl
import hashlib
from collections.abc import Callable, Mapping

from devtools.prepare import STATIC, manage
from devtools.processes import ROOT

STAMP = STATIC.parent / "static.stamp"
SOURCES = ("static/**/*", "*/static/**/*", "requirements.txt")  # packages bring files too


def collect(env: Mapping[str, str], check: Callable[[], None]) -> None:
    """Make ``build/static`` what the sources say, unless it is. Two callers wait for each other.

    Raises ``CannotStart`` when the command fails.
    """
    STATIC.mkdir(parents=True, exist_ok=True)
    with (STATIC.parent / "static.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        digest = _fingerprint()
        if STAMP.exists() and STAMP.read_text() == digest and _collected():
            return
        production = {"DEBUG": "false", "ALLOW_DEMO": "true", "ALLOWED_HOSTS": "localhost"}
        production |= {"EMAIL_URL": "consolemail://"}
        words = ("collectstatic", "--noinput", "--verbosity", "0")
        manage({**env, **production}, check, *words)
        STAMP.write_text(digest)


def _collected() -> bool:
    return (STATIC / "staticfiles.json").exists()


def _fingerprint() -> str:
    known = hashlib.sha256()
    for path in sorted({path for pattern in SOURCES for path in ROOT.glob(pattern)}):
        if path.is_file() and STATIC not in path.parents:
            known.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return known.hexdigest()
