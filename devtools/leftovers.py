"""What an earlier start, killed before it could stop its programs, left running.

A register beside the logs names each program started, by process id and start time (an id alone
may since belong to somebody else). The next start ends those that still run.
"""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import psutil

from devtools.processes import send_group

PATIENCE = 5.0  # seconds to end politely; the user is waiting for the new start


class Register:
    """The programs of this start, kept in a file for the next."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: dict[int, tuple[float, int]] = {}

    def add(self, pid: int, stop_signal: signal.Signals) -> None:
        try:
            self._entries[pid] = (psutil.Process(pid).create_time(), int(stop_signal))
        except psutil.NoSuchProcess:
            return
        self._write()

    def remove(self, pid: int) -> None:
        self._entries.pop(pid, None)
        self._write()

    def stop_leftovers(self, say: Callable[[str], None]) -> None:
        """End what the file's last writer left running. Call it before the first ``add``."""
        leftovers = []
        for process, stop_signal in self._read():
            say(f"ending process {process.pid} ({process.name()}), left over by an earlier start")
            process.send_signal(stop_signal)
            leftovers.append(process)
        _, stubborn = psutil.wait_procs(leftovers, timeout=PATIENCE)
        for process in stubborn:
            # PostgreSQL's quick way out is SIGQUIT; SIGKILL would leave its shared memory behind.
            process.send_signal(signal.SIGQUIT)
        _, stubborn = psutil.wait_procs(stubborn, timeout=PATIENCE)
        for process in leftovers:
            send_group(process.pid, signal.SIGKILL)
        psutil.wait_procs(stubborn, timeout=PATIENCE)
        self._path.unlink(missing_ok=True)

    def _read(self) -> list[tuple[psutil.Process, int]]:
        found = []
        try:
            entries = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return []
        for pid, started, stop_signal in entries:
            try:
                process = psutil.Process(pid)
                # The kernel's boot time, which start times rest on, may shift by a second.
                if abs(process.create_time() - started) < 2 and process.status() != "zombie":
                    found.append((process, stop_signal))
            except psutil.NoSuchProcess:
                continue
        return found

    def _write(self) -> None:
        entries = [[pid, *entry] for pid, entry in self._entries.items()]
        self._path.write_text(json.dumps(entries))
