"""The browser of the browser tests: looked for, and where that is wanted, installed.

Chromium, because Google Chrome no longer loads an extension that isn't from its store; it is
taken where there is nothing else, for the tests that need none.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from devtools.environment import given

CHROMIUM = ("chromium", "chromium-browser")
CHROME = ("google-chrome", "google-chrome-stable")
INSTALL_SECONDS = 600
APT = ("apt-get", "-qq", "-o", "Acquire::Retries=2", "-o", "DPkg::Lock::Timeout=120")
MISSING = (
    "no Chromium found: tests in a browser are skipped "
    "(install the package chromium, or name the program in CHROMIUM)"
)


def find(environ: Mapping[str, str]) -> str:
    """The browser's path: ``CHROMIUM``, else by the usual names on PATH, else one that Playwright
    has fetched; empty when there is none."""
    path = environ.get("PATH")
    if chosen := given(environ, "CHROMIUM"):
        return shutil.which(chosen, path=path) or ""
    found = [shutil.which(name, path=path) for name in CHROMIUM]
    found += sorted(map(str, _playwright_folder(environ).glob("chromium-*/chrome-linux*/chrome")))
    found += [shutil.which(name, path=path) for name in CHROME]
    return next((path for path in found if path and _runs(path)), "")


def _runs(path: str) -> bool:
    """False for what only says that a snap is missing, as Ubuntu's packages do."""
    try:
        version = subprocess.run([path, "--version"], capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return version.returncode == 0


def loads_extensions(path: str) -> bool:
    """False for Google's own builds."""
    return not Path(os.path.realpath(path)).name.startswith(CHROME[0])


def _playwright_folder(environ: Mapping[str, str]) -> Path:
    chosen = given(environ, "PLAYWRIGHT_BROWSERS_PATH")
    return Path(chosen) if chosen else Path.home() / ".cache" / "ms-playwright"


def find_or_install(environ: Mapping[str, str], say: Callable[[str], None]) -> str:
    """The same, after an attempt to install Debian's package if there is none. Whatever comes in
    the way is said and ends nothing: the tests that need no browser can still run."""
    path = find(environ)
    if path or os.geteuid() != 0 or not shutil.which("apt-get", path=environ.get("PATH")):
        return path
    say("no Chromium found; installing it with apt-get")
    env = {**environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
        try:
            done = subprocess.run(
                [*APT, *words],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=INSTALL_SECONDS,
                text=True,
                errors="replace",
            )
        except subprocess.TimeoutExpired:
            say(f"apt-get {words[0]} took longer than {INSTALL_SECONDS} s")
            break
        if done.returncode:  # after a failed update, the lists that are there may still do
            say(f"apt-get {words[0]} failed: {' '.join(done.stdout.split()[-40:])}")
    return find(environ)
