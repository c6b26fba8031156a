"""Starting one program, and saying how it ended."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from devtools.osuser import OsUser

ROOT = Path(__file__).resolve().parent.parent
LEASH = Path(__file__).with_name("leash.py")
TICK = 0.1


def leashed(
    argv: Sequence[str],
    death_signal: signal.Signals = signal.SIGTERM,
    user: OsUser | None = None,
) -> list[str]:
    """``argv``, made to die with this process, and run as ``user`` when one is given."""
    uid, gid = (user.uid, user.gid) if user else (-1, -1)
    leash = [sys.executable, "-I", "-S", str(LEASH), str(os.getpid()), str(int(death_signal))]
    return [*leash, str(uid), str(gid), *argv]


def run_step(
    argv: Sequence[str],
    env: Mapping[str, str],
    on_line: Callable[[str], None],
    check: Callable[[], None],
) -> int:
    """Run a program to its end, handing on its output line by line. Returns its exit code.

    ``check`` is called ten times a second; when it raises, the program is ended first.
    """
    process = subprocess.Popen(
        leashed(argv),
        env=dict(env),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    partial = b""
    try:
        while True:
            check()
            if not select.select([process.stdout], [], [], TICK)[0]:
                continue
            chunk = os.read(process.stdout.fileno(), 65536)
            *lines, partial = (partial + chunk).split(b"\n")
            for line in lines:
                on_line(line.decode(errors="replace"))
            if not chunk:
                return process.wait()
    finally:
        end_now(process)


def end_now(process: subprocess.Popen[bytes]) -> None:
    """End a program that may still run: politely, and after five seconds by force."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout:
        process.stdout.close()


def send_group(pid: int, number: signal.Signals) -> None:
    """Signal the process group that ``pid`` led, if anything is left of it."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def describe(code: int) -> str:
    """How a program ended, in words: its signal or its exit code."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def last_lines(log: Path, count: int = 20) -> str:
    """The end of a log, indented, for showing to a person."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 16_384))
        lines = file.read().decode(errors="replace").splitlines()[-count:]
    return "\n".join(f"    {line}" for line in lines)
