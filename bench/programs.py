"""The programs that are measured, each started here and watched by its process id."""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from devtools.processes import ROOT, end_now, last_lines, leashed

MEBIBYTE = 1024 * 1024


class Failed(Exception):
    """The benchmark can't go on; the message says why."""


@dataclass(frozen=True)
class Memory:
    """Bytes of a program and its children: resident, and with shared pages counted in part."""

    rss: int
    pss: int

    def __sub__(self, other: "Memory") -> "Memory":
        return Memory(self.rss - other.rss, self.pss - other.pss)


class Program:
    """A program that runs until ``stop``. It is never started again: its death is a failure."""

    def __init__(
        self, name: str, argv: Sequence[str], env: Mapping[str, str], log: Path, cwd: Path = ROOT
    ) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                leashed(argv),
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait(self, ready: Callable[[], bool], seconds: float = 30) -> None:
        """Wait until it serves. Raises ``Failed``."""
        deadline = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise Failed(f"{self.name} does not answer:\n{last_lines(self.log)}")
            time.sleep(0.05)

    def check(self) -> None:
        """Raise ``Failed`` when it has ended."""
        if self._process.poll() is not None:
            raise Failed(f"{self.name} ended:\n{last_lines(self.log)}")

    def cpu_seconds(self) -> float:
        """User and system time of the process and its children so far, ended ones included."""
        self.check()
        return cpu_seconds(self.pid)

    def memory(self) -> Memory:
        self.check()
        rss = pss = 0
        for process in self._family():
            full = process.memory_full_info()
            rss += full.rss
            pss += getattr(full, "pss", full.uss)  # only Linux knows it
        return Memory(rss, pss)

    def stop(self) -> None:
        end_now(self._process)

    def _family(self) -> list[psutil.Process]:
        process = psutil.Process(self.pid)
        return [process, *process.children(recursive=True)]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its children so far, ended ones included."""
    process = psutil.Process(pid)
    while True:
        children = process.children(recursive=True)
        try:
            own = process.cpu_times()
            total = own.user + own.system + own.children_user + own.children_system
            for child in children:
                times = child.cpu_times()
                total += times.user + times.system
        except psutil.NoSuchProcess:
            continue  # one ended meanwhile, and now counts among the ended
        if process.children(recursive=True) == children:
            return float(total)


def run(
    module: str,
    env: Mapping[str, str],
    *arguments: str,
    told: str = "",
    meanwhile: Callable[[], None] = lambda: None,
) -> str:
    """Run ``python -m module`` to its end and return what it printed. Raises ``Failed``.

    ``meanwhile`` is called ten times a second.
    """
    process = subprocess.Popen(
        leashed([sys.executable, "-m", module, *arguments]),
        env=dict(env),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    output = errors = ""
    try:
        left: str | None = told
        while True:
            try:
                output, errors = process.communicate(left, timeout=0.1)
                break
            except subprocess.TimeoutExpired:
                left = None
                meanwhile()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(10)
    if process.returncode:
        raise Failed(f"python -m {module} failed:\n{(output + errors)[-3000:]}")
    return output
