"""The user's wish to stop, as a flag."""

import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from devtools.processes import TICK, leashed


class Stopped(Exception):
    """The user asked for the end: SIGINT, SIGTERM or SIGHUP."""


class StopSignals:
    """SIGINT, SIGTERM and SIGHUP, noted when they come and read at places where stopping is safe.

    A second signal a second or more after the first means: without waiting. (One key press can
    reach a process twice, through the terminal and through a wrapper.)
    """

    def __init__(self) -> None:
        self.first = 0.0
        self.number = 0
        self.impatient = False

    def install(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)

    def _note(self, number: int, _: object) -> None:
        now = time.monotonic()
        if not self.first:
            self.first, self.number = now, number
        elif now - self.first >= 1:
            self.impatient = True

    def check(self) -> None:
        """Raise ``Stopped`` when a signal has come."""
        if self.first:
            raise Stopped


def run_foreground(
    argv: Sequence[str],
    env: Mapping[str, str],
    signals: StopSignals,
    stop_signal: signal.Signals,
) -> int:
    """Run a program on this terminal to its end; returns its exit code, as a shell counts.

    Ctrl-C reaches it through the terminal, and it decides what that means. A signal to this
    process alone is handed on as ``stop_signal``, once, and half a minute later as SIGKILL.
    """
    process = subprocess.Popen(leashed(argv), env=dict(env))
    told = False
    while process.poll() is None:
        by_terminal = (
            signals.number == signal.SIGINT and sys.stdin is not None and sys.stdin.isatty()
        )
        if signals.first and not by_terminal and not told:
            process.send_signal(stop_signal)
            told = True
        if told and (signals.impatient or time.monotonic() - signals.first > 30):
            process.kill()
        time.sleep(TICK / 5)
    return process.returncode if process.returncode >= 0 else 128 - process.returncode
