"""FAREBOX_HOME has one owner at a time, and keeps its secrets."""

import subprocess
import sys

import pytest

from devtools.home import Busy, Home
from devtools.processes import ROOT

OWNER = (
    "import signal, sys; from devtools.home import Home\n"
    "home = Home.locate({'FAREBOX_HOME': sys.argv[1]})\n"
    "with home.owned('dev'):\n"
    "    home.publish({'PORT': '8000'}); print('owned', flush=True); signal.pause()"
)


@pytest.fixture
def home(place):
    return Home.locate({"FAREBOX_HOME": str(place)})


@pytest.fixture
def owner(home):
    """Another process that owns the home."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(home.path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout.readline() == "owned\n"
        yield owner
        owner.kill()


def test_a_second_owner_is_refused_and_told_who_the_first_is(home, owner):
    with pytest.raises(Busy) as busy, home.owned("manage"):
        pass
    assert str(busy.value) == f"bin/dev (process {owner.pid})"
    assert busy.value.role == "dev"
    assert home.published() == {"PORT": "8000"}


def test_a_killed_owner_owns_nothing_and_what_it_published_is_void(home, owner):
    owner.kill()
    owner.wait()
    assert home.published() is not None
    with home.owned("manage"):
        assert home.published() is None


def test_what_is_published_ends_with_the_owner(home):
    with home.owned("dev"):
        home.publish({"PORT": "8000"})
    assert home.published() is None


def test_the_secret_key_stays_and_is_for_its_owner_alone(home):
    key = home.secret_key()
    assert home.secret_key() == key
    assert (home.path / "secret_key").stat().st_mode & 0o777 == 0o600


def test_a_relative_home_is_below_the_present_folder(place, monkeypatch):
    monkeypatch.chdir(place)
    assert Home.locate({"FAREBOX_HOME": "state"}).path == place / "state"
