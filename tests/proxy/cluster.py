"""A PostgreSQL of a test's own, to stop and start at will, with a copy of the test database."""

import os
import signal
import subprocess
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from devtools.embedded import THROW_AWAY, Postgres, postgres_binaries
from devtools.processes import leashed
from tests.proxy.server import wait_for


class Cluster:
    """``start`` and ``stop`` may be called again and again."""

    def __init__(self, home: Path) -> None:
        self._postgres = Postgres(home, lambda _words: None, THROW_AWAY)
        self._service = self._postgres.prepare()
        self._log = (home / "cluster.log").open("ab")
        self._process: subprocess.Popen[bytes] | None = None
        self.url = self._postgres.url("farebox")

    def start(self) -> None:
        """Returns once it takes connections; nothing to do where it does already."""
        if self._process is not None:
            return
        service = self._service
        self._process = subprocess.Popen(
            leashed(service.argv, service.stop_signal, service.user),
            env=dict(service.env),
            cwd=service.cwd,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        wait_for(self._postgres.is_ready, 60, "the cluster takes connections")

    def stop(self) -> None:
        """As an operator restarts it: connections are cut, nothing that was committed is lost."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(30)
            self._process = None

    def close(self) -> None:
        self.stop()
        self._log.close()

    def copy(self, source: str) -> None:
        """Make its database a copy of ``source`` (a libpq address)."""
        self._postgres.create_database("farebox")
        source = make_conninfo(**{k: v for k, v in conninfo_to_dict(source).items() if v})
        binaries = postgres_binaries()
        dump = subprocess.run(
            [binaries / "pg_dump", "--no-owner", source],
            check=True, capture_output=True, env=os.environ,
        )  # fmt: skip
        subprocess.run(
            [binaries / "psql", "-q", "-v", "ON_ERROR_STOP=1", self.url],
            check=True, input=dump.stdout, capture_output=True, env=os.environ,
        )  # fmt: skip

    def query(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url, autocommit=True) as conn:
            return conn.execute(sql, values).fetchall()
