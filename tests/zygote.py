"""Programs of ours as processes of their own that start two seconds sooner: forks of a process that
has imported the libraries, but nothing of ours and no settings.

``launch("uvicorn", ..., env=..., log=...)`` is ``python -m uvicorn ...`` in the project's folder,
with exactly that environment. What a process reads of the environment while it imports a library
must not be read here: Prometheus's client, Sentry and OpenTelemetry are left out for that.
"""

import gc
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = (
    "aiohappyeyeballs", "asgiref.sync", "celery.app", "celery.apps.worker", "celery.bin.celery",
    "celery.bin.worker", "channels.generic.websocket", "corsheaders.middleware",
    "cryptography.hazmat.primitives.asymmetric.rsa", "cryptography.x509",
    "django.contrib.admindocs.views", "django.contrib.auth.hashers",
    "django.contrib.humanize.templatetags.humanize", "django.contrib.postgres.search",
    "django.contrib.staticfiles.storage", "django.core.handlers.asgi", "django.core.management",
    "django.core.mail.message", "django.db.backends.postgresql.schema",
    "django.db.migrations.writer", "django.db.models.sql.compiler",
    "django.template.defaultfilters", "django.template.defaulttags", "django.test.signals",
    "django.views.debug", "django.views.generic", "genai_prices", "genai_prices.data_snapshot",
    "httptools", "httpx", "kombu.transport.redis", "limits", "orjson", "psycopg", "psycopg_pool",
    "pydantic", "pygments.formatters.html", "pygments.lexers.python", "redis.asyncio",
    "rest_framework.serializers", "drf_spectacular.utils", "stripe._account", "stripe._charge",
    "stripe._customer", "stripe._dispute", "stripe._invoice", "stripe._invoice_item",
    "stripe._mandate", "stripe._payment_intent", "stripe._payment_method", "stripe._person",
    "stripe._product", "stripe._refund", "stripe._setup_intent", "stripe._source",
    "stripe._stripe_client", "stripe._subscription", "stripe._subscription_schedule",
    "stripe.checkout._session", "stripe.identity._verification_session",
    "stripe.issuing._authorization", "stripe.issuing._card", "stripe.issuing._cardholder",
    "stripe.issuing._transaction", "stripe.v2.core._account",
    "structlog", "uvicorn.main", "uvloop", "websockets.server", "whitenoise.base",
)  # fmt: skip


class Launched:
    """A process; as much of ``subprocess.Popen`` as is asked for here."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = _zygote().ask(poll=self.pid)
        return self.returncode

    def wait(self, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.005)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def launch(module: str, *arguments: str, env: Mapping[str, str], log: Path) -> Launched:
    """``python -m module arguments``, its output appended to ``log``. It dies with this process."""
    order = {"module": module, "arguments": arguments, "env": dict(env), "log": str(log)}
    return Launched(_zygote().ask(**order))


class _Zygote:
    """The process that forks; it ends, and all that it has forked, with the one that asks it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )
        self._asking = threading.Lock()

    def ask(self, **order: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._asking:  # else two threads may take each other's answers
            print(json.dumps(order), file=self._process.stdin, flush=True)
            return json.loads(self._process.stdout.readline())

    def end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(10)


@cache
def _zygote() -> _Zygote:
    return _Zygote()


def end() -> None:
    """At the end of the run."""
    if _zygote.cache_info().currsize:
        _zygote().end()
        _zygote.cache_clear()


def serve() -> dict[str, Any] | None:
    """Fork whenever it is asked for. Answers what to become, in a fork; nothing at the end."""
    for name in LIBRARIES:
        import_module(name)
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    children: dict[int, int | None] = {}
    for line in sys.stdin:
        order: dict[str, Any] = json.loads(line)
        answer: int | None
        if "poll" in order:
            answer = _reap(children, order["poll"])
        else:
            answer = os.fork()
            if not answer:
                return order
            children[answer] = None
        print(json.dumps(answer), flush=True)
    for pid in children:
        if _reap(children, pid) is None:
            os.kill(pid, signal.SIGKILL)
    return None


def _reap(children: dict[int, int | None], pid: int) -> int | None:
    if pid not in children:  # an earlier zygote's, which has ended with all that it forked
        return -signal.SIGKILL
    if children[pid] is None:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            children[pid] = os.waitstatus_to_exitcode(status)
    return children[pid]


def become(order: Mapping[str, Any]) -> None:
    """Run the program in this process, as ``python -m`` would."""
    os.environ.clear()
    os.environ.update(order["env"])
    with open(os.devnull) as nothing, open(order["log"], "ab") as log:
        os.dup2(nothing.fileno(), 0)
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    tempfile.tempdir = None
    warnings.filterwarnings("ignore", category=UserWarning, module="celery.platforms")
    sys.argv = [order["module"], *order["arguments"]]
    runpy.run_module(order["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    wanted = serve()
    if wanted is not None:
        become(wanted)
