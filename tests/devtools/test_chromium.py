"""The browser is found where it may lie, installed where that is asked for and possible."""

import os
from pathlib import Path

import pytest

from devtools import chromium

RUNS = "#!/bin/sh\necho Chromium 1.0\n"
STUB = "#!/bin/sh\necho 'install the snap' >&2\nexit 10\n"


@pytest.fixture
def machine(place):
    """An environment whose programs lie in ``place/bin``, beside the machine's own shell."""
    (place / "bin").mkdir()
    return {"PATH": f"{place}/bin:{place}/shell", "PLAYWRIGHT_BROWSERS_PATH": str(place / "pw")}


@pytest.fixture
def program(place):
    def program(name, code=RUNS, folder="bin"):
        path = place / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
        path.chmod(0o755)
        return str(path)

    return program


def test_none_is_none(machine):
    assert chromium.find(machine) == ""


def test_the_one_that_is_named_comes_first(machine, program):
    program("chromium")
    named = program("brave")
    assert chromium.find(machine | {"CHROMIUM": named}) == named
    assert chromium.find(machine | {"CHROMIUM": "brave"}) == named
    assert chromium.find(machine | {"CHROMIUM": "/not/there"}) == ""


def test_chromium_before_chrome(machine, program):
    chrome = program("google-chrome")
    assert chromium.find(machine) == chrome
    fetched = program("chrome", folder="pw/chromium-1200/chrome-linux64")
    assert chromium.find(machine) == fetched
    own = program("chromium-browser")
    assert chromium.find(machine) == own


def test_what_does_not_run_is_passed_over(machine, program):
    program("chromium", STUB)
    program("chromium-browser", "not a program")
    chrome = program("google-chrome-stable")
    assert chromium.find(machine) == chrome


def test_chrome_loads_no_extension(program, place):
    assert chromium.loads_extensions(program("chromium"))
    assert not chromium.loads_extensions(program("google-chrome-stable"))
    link = place / "bin" / "browser"
    link.symlink_to("google-chrome-stable")
    assert not chromium.loads_extensions(str(link))


def apt(place, *, update=0, install=0):
    """An apt-get that notes what it is asked, and installs by making the program."""
    browser = place / "bin" / "chromium"
    return (
        f'#!/bin/sh\nPATH={os.environ["PATH"]}\necho "$@" >> {place}/asked\n'
        f'case "$*" in\n*update*) echo no network; exit {update};;\n'
        f"*) [ {install} = 0 ] || {{ echo no such package; exit {install}; }}\n"
        f"printf '#!/bin/sh\\necho Chromium 1.0\\n' > {browser}; chmod 755 {browser};;\nesac\n"
    )


def asked(place):
    path = place / "asked"
    return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def said(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return []


def test_it_is_installed_when_there_is_none(machine, program, place, said):
    program("apt-get", apt(place))
    assert chromium.find_or_install(machine, said.append) == str(place / "bin" / "chromium")
    update, install = asked(place)
    assert update.endswith("update")
    assert install.endswith("install -y --no-install-recommends chromium")
    assert said == ["no Chromium found; installing it with apt-get"]


def test_lists_that_can_not_be_updated_may_still_do(machine, program, place, said):
    program("apt-get", apt(place, update=100))
    assert chromium.find_or_install(machine, said.append) == str(place / "bin" / "chromium")
    assert said[1] == "apt-get update failed: no network"


def test_a_failure_is_said_and_ends_nothing(machine, program, place, said):
    program("apt-get", apt(place, install=100))
    assert chromium.find_or_install(machine, said.append) == ""
    assert said[1] == "apt-get install failed: no such package"


def test_nothing_is_installed_beside_one_that_is_there(machine, program, place, said):
    own = program("chromium")
    program("apt-get", apt(place))
    assert chromium.find_or_install(machine, said.append) == own
    assert asked(place) == []


def test_nor_by_somebody_who_may_not(machine, program, place, said, monkeypatch):
    program("apt-get", apt(place))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert chromium.find_or_install(machine, said.append) == ""
    assert asked(place) == []
    assert said == []


def test_the_continuous_integration_asks_for_it():
    run = (Path(__file__).parents[2] / ".ci" / "run").read_text()
    assert "FAREBOX_INSTALL_BROWSER=true bin/test" in run
