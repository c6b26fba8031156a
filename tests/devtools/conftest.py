"""What the tests of devtools/ share: real programs, a place for them, waiting for a condition."""

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devtools.leftovers import Register
from devtools.signals import StopSignals
from devtools.supervise import Service, Supervisor


@pytest.fixture
def place() -> Iterator[Path]:
    """An empty folder with a short name. (pytest's own lies below a folder closed to others.)"""
    folder = Path(tempfile.mkdtemp(prefix="fb-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def eventually() -> Callable[..., None]:
    def eventually(
        condition: Callable[[], object],
        meanwhile: Callable[[], object] = lambda: None,
        seconds: float = 20,
    ) -> None:
        """Return when the condition is true, calling ``meanwhile`` between looks."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            meanwhile()
            time.sleep(0.02)

    return eventually


@pytest.fixture
def said() -> list[str]:
    """What the supervisor told the user."""
    return []


@pytest.fixture
def signals() -> StopSignals:
    return StopSignals()  # not installed: the test sets it


@pytest.fixture
def supervisor(place: Path, said: list[str], signals: StopSignals) -> Iterator[Supervisor]:
    supervisor = Supervisor(said.append, signals, Register(place / "children.json"))
    yield supervisor
    signals.impatient = True
    supervisor.stop(["a"], ["b"], ["stripe", "valkey"], ["postgres"])


@pytest.fixture
def program(place: Path) -> Callable[..., Service]:
    """Makes a service of a few lines of Python, named ``a`` unless told otherwise."""

    def program(code: str, name: str = "a", **options: float) -> Service:
        argv = [sys.executable, "-u", "-c", code]
        return Service(name=name, argv=argv, env={}, log=place / f"{name}.log", **options)

    return program
