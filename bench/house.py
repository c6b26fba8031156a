"""Everything a run needs, brought up in a folder that is thrown away with it."""

import json
import os
import resource
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import litellm, nginx
from bench.programs import Failed, Program, run
from devtools.dev import is_ready, programs
from devtools.embedded import free_port
from devtools.home import Home
from devtools.leftovers import Register
from devtools.prepare import CannotStart, migrate
from devtools.processes import ROOT
from devtools.servers import SERVERS, start_servers
from devtools.signals import StopSignals
from devtools.supervise import Supervisor
from devtools.test import test_environment

UPSTREAM_KEY = "sk-bench-" + "0" * 40


@dataclass(frozen=True)
class Account:
    """A caller: user, wallet, API key and that key's id."""

    user: int
    wallet: int
    key: str
    key_id: str


@dataclass
class House:
    """What runs, and who may call. ``say`` tells the person in front of it what goes on."""

    folder: Path
    env: dict[str, str]
    say: Callable[[str], None]
    check: Callable[[], None]
    model: str
    price: int
    accounts: list[Account]
    upstream_port: int
    _running: list[Program]

    @property
    def database(self) -> str:
        return self.env["DATABASE_URL"]

    @contextmanager
    def web(
        self, root: Path = ROOT, *, workers: int = 1, more: Mapping[str, str] | None = None
    ) -> Iterator[tuple[Program, int]]:
        """The web process as a deployment runs it, or several, and their port. ``root`` may be
        another copy of the project, to compare two in one run; ``more`` are settings."""
        port = free_port()
        env = self.env | {"PORT": str(port), "PYTHONPATH": str(root)} | dict(more or {})
        service = next(p for p in programs(env, Home(self.folder), workers) if p.name == "web")
        with self._started(Program("web", service.argv, env, service.log, root)) as program:
            program.wait(lambda: is_ready(env))
            yield program, port

    @contextmanager
    def worker(self) -> Iterator[Program]:
        """Two worker processes, as a deployment runs them."""
        service = next(p for p in programs(self.env | {"PORT": "0"}, Home(self.folder), 1)
                       if p.name == "worker")  # fmt: skip
        with self._started(Program("worker", service.argv, service.env, service.log)) as program:
            yield program

    @contextmanager
    def nginx(self) -> Iterator[tuple[Program, int] | None]:
        """nginx before the same upstream, and its port; None where it is not installed."""
        found = nginx.find()
        if found is None:
            yield None
            return
        port = free_port()
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        argv = nginx.command(found, self.folder / "nginx", port, self.upstream_port, files)
        started = Program("nginx", argv, os.environ, self.folder / "logs" / "nginx.log")
        with self._started(started) as program:
            program.wait(lambda: listens(port))
            yield program, port

    @contextmanager
    def litellm(self) -> Iterator[tuple[Program, int, str]]:
        """LiteLLM's proxy before the same upstream, its port and its version."""
        found = litellm.environment(self.say)
        port, folder = free_port(), self.folder / "litellm"
        upstream = f"http://127.0.0.1:{self.upstream_port}/v1"
        argv = litellm.command(found, folder, port, upstream, UPSTREAM_KEY)
        log = self.folder / "logs" / "litellm.log"
        started = Program("litellm", argv, litellm.variables(folder), log, folder)
        with self._started(started) as program:
            program.wait(lambda: listens(port), litellm.START_SECONDS)
            yield program, port, litellm.version(found)

    def run(
        self,
        module: str,
        *arguments: str,
        told: str = "",
        meanwhile: Callable[[], None] = lambda: None,
    ) -> str:
        """Run one of the bench's own programs; see ``programs.run``."""

        def often() -> None:
            self.check()
            for program in self._running:
                program.check()
            meanwhile()

        return run(module, self.env, *arguments, told=told, meanwhile=often)

    @contextmanager
    def _started(self, program: Program) -> Iterator[Program]:
        self._running.append(program)
        try:
            yield program
        finally:
            self._running.remove(program)
            program.stop()


@contextmanager
def open_house(accounts: int, say: Callable[[str], None], database: str = "") -> Iterator[House]:
    """Bring up the servers, the tables, the accounts and the upstream; leave nothing behind.

    ``database`` is one to be used in place of a new one; the accounts stay in it.
    """
    signals = StopSignals()
    signals.install()
    raise_file_limit()
    # Not /tmp, which may be memory: there fsync costs nothing.
    place = "/var/tmp" if os.access("/var/tmp", os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="farebox-bench-", dir=place)).resolve()
    supervisor = Supervisor(say, signals, Register(folder / "children.json"))
    upstream = None
    try:
        (folder / "logs").mkdir()
        upstream_port = free_port()
        env = production(folder, upstream_port)
        own = {"DATABASE_URL": database} if database else {}
        env |= own | start_servers(own, folder, supervisor, say)[0]
        say("making the tables")
        migrate(env, signals.check, show=lambda line: None)
        say(f"making {accounts} accounts")
        seeded = json.loads(run("bench.seed", env, str(accounts), meanwhile=signals.check))
        upstream = start_upstream(env, folder, upstream_port)
        yield House(
            folder=folder,
            env=env,
            say=say,
            check=signals.check,
            model=seeded["model"],
            price=seeded["price"],
            accounts=[Account(*row) for row in seeded["accounts"]],
            upstream_port=upstream_port,
            _running=[upstream],
        )
    except CannotStart as error:
        raise Failed(str(error)) from None
    finally:
        if upstream:
            upstream.stop()
        supervisor.stop(*SERVERS)
        shutil.rmtree(folder, ignore_errors=True)


def production(folder: Path, upstream_port: int) -> dict[str, str]:
    """The environment of a production start on loopback, whatever the user's says."""
    kept = test_environment(os.environ, folder)
    return kept | {
        "DEBUG": "false",
        "SECRET_KEY": secrets.token_urlsafe(60),
        "ALLOWED_HOSTS": "127.0.0.1",
        "HTTPS": "false",
        "ALLOW_DEMO": "true",
        "EMAIL_URL": "consolemail://",
        "OPENAI_API_KEY": UPSTREAM_KEY,
        "OPENAI_BASE_URL": f"http://127.0.0.1:{upstream_port}/v1",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PYTHONUNBUFFERED": "1",
    }


def start_upstream(env: Mapping[str, str], folder: Path, port: int) -> Program:
    """The fake providers, a process of their own."""
    argv = [sys.executable, "-m", "tests.fakes.providers", "--port", str(port)]
    argv += ["--openai-key", UPSTREAM_KEY]
    program = Program("upstream", argv, env, folder / "logs" / "upstream.log")
    try:
        program.wait(lambda: listens(port))
    except BaseException:
        program.stop()
        raise
    return program


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def raise_file_limit() -> None:
    """Allow this process, and so all it starts, as many open files as the machine lets it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
