"""bin/* start here, under whatever ``python3`` the machine has.

Finds a Python new enough, makes the environment, and becomes the command. This file keeps to a
syntax that Python 3.6 can read, so that an old interpreter gets a sentence and not a traceback.
"""

import os
import shutil
import sys

OLDEST = (3, 11)
NEWER = ("python3.14", "python3.13", "python3.12", "python3.11")
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# What each command runs, and the requirements it needs.
COMMANDS = {
    "dev": ("devtools.dev", "requirements.txt"),
    "manage": ("devtools.manage", "requirements.txt"),
    "test": ("devtools.test", "requirements-dev.txt"),
    "check": ("devtools.check", "requirements-dev.txt"),
    "bench": ("bench", "requirements-dev.txt"),
}


def use_newer_python() -> None:
    """Become a newer Python found on PATH; say what to install when there is none."""
    for name in NEWER:
        path = shutil.which(name)
        # A version manager's shim may exist for a Python that it cannot start.
        if path and os.system('"%s" -c "" >/dev/null 2>&1' % path) == 0:  # noqa: UP031
            os.execv(path, [path, os.path.abspath(__file__), *sys.argv[1:]])
    found = ".".join(str(part) for part in sys.version_info[:3])
    sys.exit(
        "farebox: needs Python 3.11 or newer, but python3 here is " + found + ".\n"
        "Install a newer one (for example: apt install python3.11 python3.11-venv), "
        "so that python3 or python3.11 is on PATH, and start again."
    )


def main() -> None:
    """Replace this process by ``python -m <command>`` inside the environment."""
    if sys.version_info < OLDEST:
        use_newer_python()
    sys.path[0] = ROOT  # this folder's own names must not hide the standard library's
    from devtools import bootstrap

    module, requirements = COMMANDS[sys.argv[1]]
    python = bootstrap.ensure(requirements)
    paths = [ROOT, os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
        # Without compiled files each program takes seconds longer to start. Keep them, but out of
        # the source tree, which is what the wish is about.
        os.environ.setdefault("PYTHONPYCACHEPREFIX", os.path.join(ROOT, ".venv", "pycache"))
    os.execv(python, [python, "-m", module, *sys.argv[2:]])


if __name__ == "__main__":
    main()
