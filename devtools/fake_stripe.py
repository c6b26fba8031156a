"""The project's own fake Stripe beside the servers, where ``STRIPE_FAKE`` asks for it.

It keeps its customers, subscriptions and clock in FAREBOX_HOME, so that a restart loses none, and
its port as long as that is free.
"""

import http.client
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from devtools.embedded import free_port, is_free
from devtools.environment import flag, given
from devtools.home import write_private
from devtools.supervise import Service

CARDS = "cards: 4242 4242 4242 4242 pays, 4000 0000 0000 0002 is declined"


def wanted(environ: Mapping[str, str]) -> bool:
    """Whether to start it. Raises ``BadValue`` for a flag that is none."""
    return flag(environ, "STRIPE_FAKE", False)


class FakeStripe:
    """The process below ``home`` that stands in for Stripe."""

    def __init__(self, environ: Mapping[str, str], home: Path) -> None:
        self._env = dict(environ)
        self._state = home / "stripe.json"
        self._log = home / "logs" / "stripe.log"
        self.url = f"http://127.0.0.1:{kept_port(home / 'stripe_port')}"

    def prepare(self) -> Service:
        """What to supervise."""
        port, key = str(urlsplit(self.url).port), given(self._env, "STRIPE_SECRET_KEY")
        argv = [sys.executable, "-m", "tests.fakes.stripe", "--port", port, "--key", key]
        argv += ["--state", str(self._state), "--real-signatures"]
        return Service("stripe", argv, self._env, self._log, echo=False, stop_seconds=10)

    def is_ready(self) -> bool:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=5)
        try:
            connection.request("GET", "/_fake/clock")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def kept_port(path: Path) -> int:
    """The port of the last start, or a free one where there was none or another program has it."""
    try:
        port = int(path.read_text())
    except (OSError, ValueError):
        port = 0
    if not 0 < port < 65536 or not is_free(port):
        port = free_port()
        write_private(path, str(port))
    return port


def announcement(url: str) -> str:
    """The line that bin/dev prints about it."""
    return f"fake Stripe: {url} ({CARDS}; that page turns the clock, refunds and disputes)"
