"""The virtual environment: made when missing, filled when the requirements changed.

Standard library only. Everything is said on standard error, because ``bin/manage`` promises its
standard output to the command it runs.
"""

import ast
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
UV = "uv==0.13.8"
NO_PIP = """\
Python's own "venv" can't install pip here, and neither pip nor uv is on this machine.
On Debian or Ubuntu install it with:  apt install python3-venv
then start again."""


def ensure(requirements: str) -> str:
    """Return the environment's Python, with the packages of ``requirements`` installed.

    Does nothing when the stamp inside the environment carries the files' present hash. Two
    callers at once wait for each other.
    """
    venv = ROOT / ".venv"
    python = venv / "bin" / "python"
    if not is_current(venv, requirements):
        # subprocess.run kills its child when an exception passes through, so a SIGTERM that
        # becomes one leaves no installer behind.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        try:
            with locked(ROOT):
                if not is_current(venv, requirements):
                    install(venv, requirements)
        except KeyboardInterrupt:
            sys.exit(130)
    return str(python)


def is_current(venv: Path, requirements: str) -> bool:
    """True when the environment can start and holds what ``requirements`` asks for."""
    try:
        stamp = json.loads((venv / "farebox.json").read_text())
    except (OSError, ValueError):
        return False
    # exists() follows links: false when the Python that the environment was made from is gone.
    return (venv / "bin" / "python").exists() and stamp.get(requirements) == digest(requirements)


def digest(requirements: str, root: Path = ROOT) -> str:
    """The hash of what decides which packages are installed."""
    return hashlib.sha256(UV.encode() + (root / requirements).read_bytes()).hexdigest()


def install(venv: Path, requirements: str) -> None:
    """Fill the environment, then stamp it. A failure ends the program with a sentence."""
    python = str(venv / "bin" / "python")
    if not (venv / "bin" / "python").exists():
        make_venv(venv)
    say(f"installing the packages of {requirements} (only when they change)")
    command = installer(python)
    if subprocess.run(
        [*command, "-r", str(ROOT / requirements)], env=install_env(python)
    ).returncode:
        fail(f"could not install the packages of {requirements}; the reason stands above")
    # The development requirements hold every other one.
    files = {requirements, "requirements.txt"}
    scratch = venv / "farebox.json.new"
    scratch.write_text(json.dumps({name: digest(name) for name in files}))
    scratch.replace(venv / "farebox.json")


def make_venv(venv: Path) -> None:
    """Make the environment, without pip where ensurepip is missing (Debian sans python3-venv)."""
    say(f"making the virtual environment {venv} with Python {sys.version.split()[0]}")
    make = [sys.executable, "-m", "venv", "--clear", str(venv)]
    if subprocess.run(make, capture_output=True).returncode == 0:
        return
    bare = subprocess.run([*make, "--without-pip"], capture_output=True, text=True)
    if bare.returncode:
        fail(f"could not make {venv}:\n{bare.stdout}{bare.stderr}")


def installer(python: str) -> list[str]:
    """The command that installs: uv inside the environment, else the machine's uv, else pip.

    uv comes first because the pip of an old Python picks packages that it then can't build.
    """
    quiet = [] if sys.stderr.isatty() else ["--quiet"]
    with_uv = ["pip", "install", "--python", python, *quiet]
    pip = find_pip(python)
    if pip:
        get_uv = [*pip, "install", "--quiet", "--only-binary", ":all:", UV]
        if subprocess.run(get_uv, env=pip_env(), stdout=sys.stderr).returncode == 0:
            return [python, "-m", "uv", *with_uv]
    machine_uv = shutil.which("uv")
    if machine_uv:
        return [machine_uv, *with_uv]
    if pip:
        return [*pip, "install", "--prefer-binary", *quiet]
    Path(python).unlink()  # so that the next start makes the environment anew, with pip
    fail(NO_PIP)


def find_pip(python: str) -> list[str]:
    """A pip that installs into the environment: its own, or the machine's; empty when neither."""
    for command in ([python, "-m", "pip"], [sys.executable, "-m", "pip", "--python", python]):
        if subprocess.run([*command, "--version"], capture_output=True).returncode == 0:
            return command
    return []


def pip_env() -> dict[str, str]:
    """The caller's environment, less what would make pip install elsewhere or chat."""
    return os.environ | {"PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}


def install_env(python: str) -> dict[str, str]:
    """The environment for uv, which does not read pip's configuration and must be told."""
    pip = find_pip(python)
    listing = ""
    if pip:
        command = [*pip, "config", "list"]
        listing = subprocess.run(command, capture_output=True, text=True).stdout
    return uv_settings(pip_settings(listing)) | pip_env()


def pip_settings(listing: str) -> dict[str, str]:
    """Read ``pip config list``: lines such as ``global.index-url='…'``; the environment wins."""
    found: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for section, name, value in re.findall(
        r"^(global|install|:env:)\.([\w-]+)=(.+)$", listing, re.M
    ):
        found[section][name] = str(ast.literal_eval(value))
    return found["global"] | found["install"] | found[":env:"]


def uv_settings(pip: Mapping[str, str]) -> dict[str, str]:
    """pip's settings in uv's words. A variable of uv's that the user has set stays as it is."""
    extra = [url for url in pip.get("extra-index-url", "").split() if present(url)]
    links = [url for url in pip.get("find-links", "").split() if present(url)]
    wanted = {
        "UV_DEFAULT_INDEX": pip.get("index-url", ""),
        "UV_INDEX": " ".join(extra),
        # pip looks at all indexes and takes the best; uv would stop at the first that has a name.
        "UV_INDEX_STRATEGY": "unsafe-best-match" if extra else "",
        "UV_FIND_LINKS": ",".join(links),
        "UV_INSECURE_HOST": " ".join(pip.get("trusted-host", "").split()),
        "SSL_CERT_FILE": pip.get("cert", ""),
        "HTTPS_PROXY": pip.get("proxy", ""),
    }
    return {name: value for name, value in wanted.items() if value and name not in os.environ}


def present(place: str) -> bool:
    """False for a local folder that is not there: pip passes over it, uv would stop."""
    path = place.removeprefix("file://")
    return Path(path).exists() if path.startswith("/") else True


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for one installer at a time. The lock falls when the process ends."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another start to finish installing")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def say(line: str) -> None:
    print(f"farebox: {line}", file=sys.stderr, flush=True)


def fail(reason: str) -> NoReturn:
    sys.exit(f"farebox: {reason}")
