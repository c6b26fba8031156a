"""Programs kept running, and stopped in order, by one single-threaded loop.

Promises: a program that dies is started again, with a growing pause; one that dies too often ends
everything. ``Supervisor.stop`` leaves nothing running that was started here. When the supervisor
itself is killed, the kernel ends its programs (see ``leash``), and the next start ends what the
kernel could not (see ``leftovers``).

Each program writes into its own log file, and the supervisor reads those files to show them. There
is no pipe that could fill up or break.
"""

import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from devtools.leftovers import Register
from devtools.osuser import OsUser
from devtools.processes import ROOT, TICK, describe, last_lines, leashed, send_group
from devtools.signals import StopSignals

MOST_DEATHS, DEATH_WINDOW = 5, 30.0  # that many deaths within so many seconds end everything
LOG_BYTES = 10_000_000  # a log past this is set aside when its program is first started


class GaveUp(Exception):
    """A program died too often. The message says which, how, and shows its last lines."""


@dataclass(frozen=True)
class Service:
    """One program to keep running."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    log: Path
    cwd: Path = ROOT
    user: OsUser | None = None
    echo: bool = True  # show its lines, prefixed
    stop_signal: signal.Signals = signal.SIGTERM
    kill_signal: signal.Signals = signal.SIGKILL  # when stop_signal was of no avail
    stop_seconds: float = 25.0


@dataclass
class _Running:
    service: Service
    process: subprocess.Popen[bytes] | None = None
    tail: BinaryIO | None = None
    partial: bytes = b""
    started: float = 0.0
    restart_at: float = 0.0
    deaths: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_DEATHS))


class Supervisor:
    """Starts services, restarts those that die, stops all. Not for use from several threads."""

    def __init__(
        self, say: Callable[[str], None], signals: StopSignals, register: Register
    ) -> None:
        self._say = say
        self._signals = signals
        self._register = register
        self._running: dict[str, _Running] = {}

    def start(self, service: Service) -> None:
        """Start a service and keep it running from now on."""
        running = _Running(service)
        service.log.parent.mkdir(parents=True, exist_ok=True)
        if service.log.exists() and service.log.stat().st_size > LOG_BYTES:
            service.log.replace(service.log.with_suffix(".old.log"))
        self._running[service.name] = running
        self._spawn(running)

    def poll(self) -> None:
        """Show new lines and restart what died. Raises ``Stopped`` or ``GaveUp``."""
        self._signals.check()
        for running in self._running.values():
            self._echo(running)
            if running.process is None:
                if time.monotonic() >= running.restart_at:
                    self._spawn(running)
            elif running.process.poll() is not None:
                self._died(running)

    def wait(self, ready: Callable[[], bool], seconds: float, what: str) -> None:
        """Poll until ``ready()``; ``GaveUp`` when that takes more than ``seconds``."""
        deadline = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > deadline:
                raise GaveUp(f"{what} did not become ready within {seconds:.0f} seconds")
            self.poll()
            time.sleep(TICK / 2)

    def restart(self, names: Sequence[str], stop_seconds: float) -> None:
        """Stop these and start them afresh, forgetting past deaths."""
        services = [self._running[name].service for name in names]
        self._end(names, stop_seconds)
        for service in services:
            self.start(service)

    def stop(self, *groups: Sequence[str]) -> None:
        """Stop group after group; within a group all at once. Unknown names are passed over."""
        for names in groups:
            self._end([name for name in names if name in self._running], None)

    def _spawn(self, running: _Running) -> None:
        service = running.service
        with service.log.open("ab") as log:
            running.process = subprocess.Popen(
                leashed(service.argv, service.stop_signal, service.user),
                env=dict(service.env),
                cwd=service.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C at the terminal reaches the supervisor alone
            )
            if running.tail is None:
                running.tail = service.log.open("rb")
                running.tail.seek(0, os.SEEK_END)
        running.started = time.monotonic()
        self._register.add(running.process.pid, service.stop_signal)

    def _died(self, running: _Running) -> None:
        assert running.process is not None
        service, how = running.service, describe(running.process.returncode)
        self._forget(running)
        now = time.monotonic()
        running.deaths.append(now)
        if len(running.deaths) == MOST_DEATHS and now - running.deaths[0] <= DEATH_WINDOW:
            raise GaveUp(
                f"{service.name} {how}, {MOST_DEATHS} times within {DEATH_WINDOW:.0f} seconds. "
                f"Its last lines ({service.log}):\n{last_lines(service.log)}"
            )
        recent = sum(now - death <= DEATH_WINDOW for death in running.deaths)
        pause = 0.0 if recent == 1 else 0.25 * 2 ** (recent - 2)
        running.restart_at = now + pause
        self._say(
            f"{service.name} {how}; starting it again" + (f" in {pause:g} s" if pause else "")
        )

    def _forget(self, running: _Running) -> None:
        """After a death: end what is left of its process group, so that a port it held is free."""
        assert running.process is not None
        self._echo(running)
        send_group(running.process.pid, signal.SIGKILL)
        self._register.remove(running.process.pid)
        running.process = None

    def _end(self, names: Sequence[str], seconds: float | None) -> None:
        ending = [self._running[name] for name in names]
        for running in ending:
            if running.process and running.process.poll() is None:
                running.process.send_signal(running.service.stop_signal)
        asked = time.monotonic()
        while alive := [one for one in ending if one.process and one.process.poll() is None]:
            for running in alive:
                self._press(running, asked, seconds)
                self._echo(running)
            time.sleep(TICK / 5)
        for running in ending:
            if running.process:
                self._forget(running)
            if running.tail:
                running.tail.close()
            del self._running[running.service.name]

    def _press(self, running: _Running, asked: float, seconds: float | None) -> None:
        """Use force against a program that had its time, or at once when the user insists."""
        assert running.process is not None
        allowed = running.service.stop_seconds if seconds is None else seconds
        late = time.monotonic() - asked - (0.0 if self._signals.impatient else allowed)
        if late > 10:
            running.process.kill()
        elif late > 0:
            running.process.send_signal(running.service.kill_signal)

    def _echo(self, running: _Running) -> None:
        if running.tail is None or not running.service.echo:
            return
        *lines, running.partial = (running.partial + running.tail.read()).split(b"\n")
        for line in lines:
            self._say(f"{running.service.name:<6} | {line.decode(errors='replace')}")
