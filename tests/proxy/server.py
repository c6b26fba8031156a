"""The real server as a process of its own, for tests to talk to over the real socket."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from tests.fakes.providers import FakeProviders
from tests.zygote import Launched, launch

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60

# Whatever the machine's own environment says of these is kept from the server.
_FOREIGN = re.compile(
    r"(OPENAI|ANTHROPIC|STRIPE|UPSTREAM|CLIENT|MAX|PROXY|SHUTDOWN)_\w+|\w+_proxy", re.I
)

# Time-outs of seconds instead of minutes, so that a test waits for each of them for real.
QUICK = {
    "UPSTREAM_CONNECT_SECONDS": "2",
    "UPSTREAM_FIRST_EVENT_SECONDS": "2",
    "UPSTREAM_IDLE_SECONDS": "2",
    "UPSTREAM_PLAIN_SECONDS": "3",
    "UPSTREAM_TOTAL_SECONDS": "10",
    "CLIENT_HEAD_SECONDS": "3",
    "CLIENT_BODY_SECONDS": "1",
    "CLIENT_STALL_SECONDS": "2",
    "SHUTDOWN_SECONDS": "2",
    "CHECKPOINT_SECONDS": "1",
    "HOLD_LEASE_SECONDS": "5",
    "MAX_REQUEST_BYTES": str(1024 * 1024),
    "MAX_EVENT_BYTES": str(64 * 1024),
    "MAX_ANSWER_BYTES": str(4 * 1024 * 1024),
}
SECRET_KEY = "canary-secret-key-" + "0123456789" * 5


def wait_for(condition: Callable[[], object], seconds: float = 10, what: str = "") -> None:
    """Wait until ``condition`` holds, asking every few milliseconds, and less often when it takes
    long; fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    pause = 0.004
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what or condition}"
        time.sleep(pause)
        pause = min(pause * 1.2, 0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def server_environment(fake: FakeProviders, database_url: str, **changes: str) -> dict[str, str]:
    """Production settings on loopback, the fake as both providers, and canaries for secrets."""
    kept = {name: value for name, value in os.environ.items() if not _FOREIGN.fullmatch(name)}
    return {
        **kept,
        **QUICK,
        "DATABASE_URL": database_url,
        "SECRET_KEY": SECRET_KEY,
        "DEBUG": "false",
        "ALLOWED_HOSTS": "127.0.0.1",
        "ALLOW_DEMO": "true",
        "EMAIL_URL": "consolemail://",
        "HTTPS": "false",
        "LOG_LEVEL": "INFO",
        "OPENAI_API_KEY": fake.openai_key,
        "OPENAI_BASE_URL": fake.openai_base_url,
        "ANTHROPIC_API_KEY": fake.anthropic_key,
        "ANTHROPIC_BASE_URL": fake.anthropic_base_url,
        "PYTHONPATH": str(ROOT),
        **changes,
    }


class Farebox:
    """One web process with a deployment's options, and with its libraries imported beforehand
    (``tests.zygote``). Its port stays over restarts."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = dict(environment)
        self._log = log
        self._process: Launched | None = None

    def start(self) -> "Farebox":
        """Returns once it answers."""
        self._process = launch(
            "uvicorn", "config.asgi:application", "--host", "127.0.0.1",
            "--port", str(self.port), *served(), "--no-proxy-headers", "--no-access-log",
            env=self._environment, log=self._log,
        )  # fmt: skip
        wait_for(self._answers, START_SECONDS, "the server answers")
        return self

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log_text()
        try:
            with closing(HTTPConnection("127.0.0.1", self.port, timeout=5)) as connection:
                connection.request("GET", "/v1/models")
                return connection.getresponse().status == 401
        except (OSError, HTTPException):
            return False

    def kill9(self) -> None:
        """No chance to tidy up."""
        self.end(signal.SIGKILL)

    def sigterm(self) -> int:
        """An orderly end; answers the exit status."""
        return self.end(signal.SIGTERM)

    def restart(self) -> None:
        """Start again after an end."""
        self.start()

    def stop(self) -> None:
        if self.is_running:
            self.end(signal.SIGTERM)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def end(self, number: signal.Signals | None) -> int:
        """Send a signal, if one is given, and wait for the end; answers the exit status."""
        assert self._process is not None
        if number is not None:
            self._process.send_signal(number)
        try:
            return self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
            raise

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def log_text(self, start: int = 0) -> str:
        """Everything it wrote, from byte ``start`` on."""
        if not self._log.exists():
            return ""
        return self._log.read_bytes()[start:].decode(errors="replace")

    @property
    def log_size(self) -> int:
        return self._log.stat().st_size if self._log.exists() else 0


def served() -> list[str]:
    """The same loop, HTTP and WebSocket settings as the Procfile names."""
    words = (ROOT / "Procfile").read_text().split("web: ")[1].split("\n")[0].split()
    return [
        words[i + n]
        for i, word in enumerate(words)
        if word in {"--loop", "--http"} or word.startswith("--ws")
        for n in (0, 1)
    ]
