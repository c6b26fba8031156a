"""bin/check: everything that can be said about the code without running its tests.

Every check runs, whatever the others say; one line each at the end; exit code 1 if one failed.
"""

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from devtools.processes import ROOT
from devtools.test import test_environment

PYTHON = sys.executable
# No server is needed: nothing below connects. makemigrations would like to look at the history of
# a database and warns when there is none.
NO_HISTORY = "ignore:Got an error checking a consistent migration history:RuntimeWarning"


@dataclass(frozen=True)
class Check:
    name: str
    command: list[str]
    env: dict[str, str] = field(default_factory=dict)


def checks() -> list[Check]:
    manage = [PYTHON, "-W", NO_HISTORY, "manage.py"]
    production = {"DEBUG": "false", "ALLOWED_HOSTS": "farebox.example", "ALLOW_DEMO": "true"}
    production |= {"EMAIL_URL": "smtp+tls://user:password@mail.farebox.example"}
    deploy = ["check", "--deploy", "--fail-level", "WARNING"]
    brief = ["--output-format", "concise"]
    arrows = "from importlinter.cli import lint_imports_command as run; run()"
    return [
        Check("format", [PYTHON, "-m", "ruff", "format", "--check", *brief, "."]),
        Check("lint", [PYTHON, "-m", "ruff", "check", *brief, "."]),
        Check("types", [PYTHON, "-m", "mypy", "."]),
        Check("imports", [PYTHON, "-c", arrows]),
        Check("migrations", [*manage, "makemigrations", "--check", "--dry-run"]),
        Check("deployment", [*manage, *deploy], production),
    ]


def main() -> int:
    env = test_environment(os.environ, Path("/nonexistent"))
    env |= {
        "DATABASE_URL": "postgresql://postgres@/farebox?host=/nonexistent",
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }
    summary = []
    try:
        for check in checks():
            summary.append(run(check, env))
    except KeyboardInterrupt:
        return 130
    print()
    for ok, line in summary:
        print(f"{'ok    ' if ok else 'FAILED'}  {line}")
    return 0 if all(ok for ok, _ in summary) else 1


def run(check: Check, env: dict[str, str]) -> tuple[bool, str]:
    """Run one check; its output is shown only when it fails."""
    started = time.monotonic()
    done = subprocess.run(
        check.command,
        env=env | check.env,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if done.returncode:
        print(f"--- {check.name}\n{done.stdout.rstrip()}", flush=True)
    return done.returncode == 0, f"{check.name:<12} {time.monotonic() - started:5.1f} s"


if __name__ == "__main__":
    sys.exit(main())
