"""Farebox with its workers and its clock, each a process of its own."""

import os
import re
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import redis
from django.conf import settings

from tests.fakes.providers import FakeProviders
from tests.proxy.riders import Rider
from tests.proxy.server import Farebox, server_environment, wait_for
from tests.zygote import Launched, launch

WORKER = (
    "celery", "-A", "config", "worker", "--pool", "solo", "--without-mingle", "--without-gossip",
    "--without-heartbeat", "--loglevel", "INFO",
)  # fmt: skip
WORKERS_NAME = "jobs-worker"  # of their connections to PostgreSQL
QUICK = {
    "JOB_LEASE_SECONDS": "3",
    "JOB_RETRY_SECONDS": "1",
    "JOB_ATTEMPTS": "50",
    "JOBS_AT_ONCE": "16",
    "UPSTREAM_PLAIN_SECONDS": "60",
    "UPSTREAM_TOTAL_SECONDS": "60",
    "WORKER_CONCURRENCY": "1",
    "API_RATE_USER": "100000/minute",
    "C_FORCE_ROOT": "1",
}


def own_valkey() -> str:
    """A database of Valkey's for this process of the run, and for nobody else."""
    worker = re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "0")) or "0"
    return re.sub(r"/\d+$", f"/{12 + int(worker) % 4}", settings.REDIS_URL)


class Crew:
    """``web`` answers; ``hire`` starts workers."""

    def __init__(self, fake: FakeProviders, database_url: str, home: Path, **changes: str) -> None:
        self.valkey = own_valkey()
        changes = QUICK | {"REDIS_URL": self.valkey, "JOB_FILES": str(home / "files")} | changes
        self.environment = server_environment(fake, database_url, **changes)
        self.home = home
        self.web = Farebox(self.environment, home / "web.log")
        self.workers: list[Launched] = []
        self.customers: list[Customer] = []
        self._beat: Launched | None = None
        self._started = 0

    def start(self, workers: int = 1) -> "Crew":
        self.flush()
        self.web.start()
        schedule = str(self.home / "schedule")
        self._beat = launch(
            "celery", "-A", "config", "beat", "--schedule", schedule, "--loglevel", "WARNING",
            env=self.environment, log=self.home / "beat.log",
        )  # fmt: skip
        for _ in range(workers):
            self.hire()
        return self

    def flush(self) -> None:
        """Valkey forgets all that it has of theirs."""
        with redis.Redis.from_url(self.valkey) as client:
            client.flushdb()

    def hire(self, argv: tuple[str, ...] = WORKER, **changes: str) -> Launched:
        """One more worker; returns when it is ready for tasks."""
        self._started += 1
        log = self.home / f"worker{self._started}.log"
        environment = self.environment | {"PGAPPNAME": WORKERS_NAME} | changes
        worker = launch(*argv, env=environment, log=log)
        self.workers.append(worker)
        wait_for(lambda: " ready." in _text(log), 60, "the worker is ready")
        return worker

    def kill9(self, worker: Launched) -> None:
        worker.send_signal(signal.SIGKILL)
        worker.wait(30)
        self.workers.remove(worker)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The workers stand still."""
        for worker in self.workers:
            worker.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for worker in self.workers:
                worker.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        for customer in self.customers:
            customer.close()
        for process in (*self.workers, *([self._beat] if self._beat else [])):
            process.terminate()
        for process in (*self.workers, *([self._beat] if self._beat else [])):
            process.wait(60)
        self.web.stop()
        self.flush()

    def log_text(self) -> str:
        return "".join(_text(path) for path in self.home.glob("*.log"))


class Customer:
    """Somebody who asks for jobs over HTTP."""

    def __init__(self, crew: Crew, rider: Rider) -> None:
        self.rider = rider
        headers = {"authorization": f"Bearer {rider.secret}"}
        self._client = httpx.Client(base_url=crew.web.url, headers=headers, timeout=30)
        crew.customers.append(self)

    def make(self, kind: str, given: object = None, key: str = "") -> str:
        headers: Mapping[str, str] = {"idempotency-key": key} if key else {}
        answer = self._client.post(
            "/api/jobs", json={"kind": kind, "input": given}, headers=headers
        )
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def close(self) -> None:
        self._client.close()


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""
