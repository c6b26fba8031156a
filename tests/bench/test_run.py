"""The command itself: it brings up all it needs, measures, proves the books and leaves nothing."""

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from bench import nginx

ROOT = Path(__file__).resolve().parents[2]


def test_a_quick_run_measures_and_leaves_nothing_behind(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "bench", "--quick", "--only", "first-byte"]
    done = subprocess.run(
        [*command, "--json", str(figures)], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "added to the first byte" in done.stdout
    assert "The books hold" in done.stdout
    written = json.loads(figures.read_text())
    assert written["lines"][0]["figure"]["median"] > 0
    folder = written["facts"]["folder"]
    assert not Path(folder).exists()
    left = [p.info["cmdline"] for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"]]
    assert not [words for words in left if any(folder in word for word in words)]


@pytest.mark.skipif(nginx.find() is None, reason=nginx.HOW_TO_GET)
def test_nginx_takes_its_configuration(tmp_path: Path) -> None:
    program = nginx.find()
    assert program is not None
    argv = nginx.command(program, tmp_path / "nginx", 8081, 8082, 1024)
    said = subprocess.run([*argv, "-t"], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
