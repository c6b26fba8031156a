"""The environment is filled when the requirements changed, and mirrors are handed on to uv."""

import ast
import json
import subprocess
import sys

import pytest

from devtools import bootstrap
from devtools.processes import ROOT


@pytest.fixture
def venv(place):
    """An environment that holds what requirements.txt asks for."""
    (place / "bin").mkdir()
    (place / "bin" / "python").symlink_to(sys.executable)
    stamp = {"requirements.txt": bootstrap.digest("requirements.txt")}
    (place / "farebox.json").write_text(json.dumps(stamp))
    return place


def test_the_digest_follows_the_file(place):
    (place / "r.txt").write_text("django==5.2.19\n")
    before = bootstrap.digest("r.txt", place)
    assert bootstrap.digest("r.txt", place) == before
    (place / "r.txt").write_text("django==5.2.20\n")
    assert bootstrap.digest("r.txt", place) != before


def test_a_stamped_environment_needs_nothing(venv):
    assert bootstrap.is_current(venv, "requirements.txt")


def test_what_the_stamp_does_not_name_is_not_there(venv):
    assert not bootstrap.is_current(venv, "requirements-dev.txt")


def test_changed_requirements_are_noticed(venv):
    (venv / "farebox.json").write_text('{"requirements.txt": "another"}')
    assert not bootstrap.is_current(venv, "requirements.txt")


def test_half_a_stamp_counts_as_none(venv):
    (venv / "farebox.json").write_text('{"requirements.txt": ')
    assert not bootstrap.is_current(venv, "requirements.txt")


def test_a_python_that_is_gone_is_noticed(venv):
    (venv / "bin" / "python").unlink()
    (venv / "bin" / "python").symlink_to("/gone/python")
    assert not bootstrap.is_current(venv, "requirements.txt")


def test_the_development_requirements_hold_every_other_one():
    def pins(name):
        lines = (ROOT / name).read_text().splitlines()
        return {line for line in lines if "==" in line and not line.lstrip().startswith("#")}

    assert pins("requirements.txt") < pins("requirements-dev.txt")


def test_the_launcher_can_be_read_by_an_old_python():
    ast.parse((ROOT / "devtools" / "launch.py").read_text(), feature_version=(3, 6))


def test_pip_settings_are_read_and_the_environment_wins():
    listing = (
        "global.index-url='https://a.test/simple'\n"
        "global.extra-index-url='https://b.test/simple\\nhttps://c.test/simple'\n"
        "install.cert='/etc/ca.pem'\n"
        ":env:.index-url='https://d.test/simple'\n"
        "some noise\n"
    )
    assert bootstrap.pip_settings(listing) == {
        "index-url": "https://d.test/simple",
        "extra-index-url": "https://b.test/simple\nhttps://c.test/simple",
        "cert": "/etc/ca.pem",
    }


def test_uv_is_told_of_mirrors_in_its_own_words(monkeypatch, place):
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_STRATEGY", "UV_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", "/the/users/own.pem")
    pip = {
        "index-url": "https://a.test/simple",
        "extra-index-url": "https://b.test/simple\nfile:///not/there",
        "find-links": f"{place} /not/there",
        "cert": "/etc/ca.pem",
    }
    assert bootstrap.uv_settings(pip) == {
        "UV_DEFAULT_INDEX": "https://a.test/simple",
        "UV_INDEX": "https://b.test/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": str(place),
    }


def test_two_installers_do_not_meet(place):
    code = (
        "import sys; from pathlib import Path; from devtools.bootstrap import locked\n"
        "with locked(Path(sys.argv[1])): print('in', flush=True)"
    )
    with bootstrap.locked(place):
        other = subprocess.Popen(
            [sys.executable, "-c", code, str(place)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert "waiting for another start" in other.stderr.readline()
        assert other.poll() is None
    out, _ = other.communicate(timeout=20)
    assert out == "in\n"
