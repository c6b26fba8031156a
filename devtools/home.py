"""FAREBOX_HOME: the folder where a start keeps its state, and who is using it.

Holds the cluster, logs, the secret key, and while ``bin/dev`` runs, ``run.json`` (how to reach
its servers). ``lock`` is held by the one command that owns the servers.
"""

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from devtools.processes import ROOT


class Busy(Exception):
    """Another command owns this home: ``role`` is ``dev`` or ``manage``."""

    def __init__(self, role: str, pid: str) -> None:
        super().__init__(f"bin/{role} (process {pid})")
        self.role = role


class Home:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.logs = path / "logs"
        self._run = path / "run.json"

    @classmethod
    def locate(cls, environ: Mapping[str, str]) -> "Home":
        """Make FAREBOX_HOME if need be; relative to the present folder, default ``.farebox``."""
        chosen = environ.get("FAREBOX_HOME", "").strip()
        path = Path(chosen).expanduser().absolute() if chosen else ROOT / ".farebox"
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        (path / "logs").mkdir(mode=0o700, exist_ok=True)
        return cls(path.resolve())

    @contextmanager
    def owned(self, role: str) -> Iterator[None]:
        """Own the home for one command. Raises ``Busy`` at once when another does.

        The kernel takes the lock back when the process ends, however it ends, so an old
        ``run.json`` found under the lock is what a killed start left.
        """
        with open(self.path / "lock", "a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise Busy(*(file.read().split() or ["dev", "unknown"])) from None
            file.truncate(0)
            file.write(f"{role} {os.getpid()}")
            file.flush()
            self._run.unlink(missing_ok=True)
            try:
                yield
            finally:
                self._run.unlink(missing_ok=True)

    def publish(self, env: Mapping[str, str]) -> None:
        """Tell other commands how to reach what runs here."""
        write_private(self._run, json.dumps(dict(env), indent=1))

    def published(self) -> dict[str, str] | None:
        """What the owner published, or None while it has not."""
        try:
            return {
                str(name): str(value) for name, value in json.loads(self._run.read_text()).items()
            }
        except (OSError, ValueError):
            return None

    def metrics_folder(self) -> Path:
        """Where this start's processes keep their metrics; empty."""
        folder = self.path / "metrics"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        return folder

    def secret_key(self) -> str:
        """The key kept here since the first start; made then."""
        return self._kept("secret_key", secrets.token_urlsafe(60))

    def stripe_key(self) -> str:
        """The same for the fake Stripe, in the shape of a test key."""
        return self._kept("stripe_key", f"sk_test_{secrets.token_hex(24)}")

    def _kept(self, name: str, new: str) -> str:
        path = self.path / name
        if not path.exists():
            write_private(path, new)
        return path.read_text()


def write_private(path: Path, text: str) -> None:
    """Write a file whole or not at all, readable by its owner alone."""
    scratch = path.with_suffix(".new")
    scratch.unlink(missing_ok=True)
    scratch.touch(mode=0o600)
    scratch.write_text(text)
    scratch.replace(path)
