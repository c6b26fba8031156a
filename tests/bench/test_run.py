"""The command itself: it brings up all it needs, measures, proves the books and leaves nothing."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psutil
import psycopg
import pytest
from django.db import connection
from psycopg import sql

from bench import nginx
from devtools.embedded import postgres_binaries

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def empty_copy(django_db_setup: None) -> Iterator[str]:
    """A database as the tests' own is when nothing is in it: making one takes most of a run."""
    name = f"bench_{uuid.uuid4().hex[:12]}"
    made, source = address_of(name), address_of(connection.settings_dict["NAME"])
    with psycopg.connect(address_of("postgres"), autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            dump = [str(postgres_binaries() / "pg_dump"), "--no-owner", source]
            told = subprocess.run(dump, capture_output=True, check=True).stdout
            psql = [str(postgres_binaries() / "psql"), "-qX", "-v", "ON_ERROR_STOP=1", made]
            subprocess.run(psql, input=told, stdout=subprocess.DEVNULL, check=True)
            yield made
        finally:
            drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
            server.execute(drop.format(sql.Identifier(name)))


def address_of(database: str) -> str:
    """A database of the tests' server."""
    return urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{database}"))


def test_a_quick_run_measures_and_leaves_nothing_behind(tmp_path: Path, empty_copy: str) -> None:
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "bench", "--quick", "--only", "first-byte"]
    command += ["--database", empty_copy]
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


def test_parts_that_need_a_server_of_their_own_say_so() -> None:
    command = [sys.executable, "-m", "bench", "--database", "postgresql:///x"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "leave out jobs and ledger and two" in done.stderr


@pytest.mark.skipif(nginx.find() is None, reason=nginx.HOW_TO_GET)
def test_nginx_takes_its_configuration(tmp_path: Path) -> None:
    program = nginx.find()
    assert program is not None
    argv = nginx.command(program, tmp_path / "nginx", 8081, 8082, 1024)
    said = subprocess.run([*argv, "-t"], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
