"""PostgreSQL and Valkey from their wheels: started, killed, started again."""

import os
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from devtools.embedded import THROW_AWAY, EmbeddedError, own_socket_folder, socket_folder
from devtools.leftovers import Register
from devtools.servers import SERVERS, start_servers
from devtools.supervise import Supervisor


@pytest.fixture
def start(place, supervisor, said):
    """Starts what the given environment does not name."""

    def start(environ=()):
        return start_servers(dict(environ), place, supervisor, said.append, THROW_AWAY)

    return start


def postmaster(place):
    return psutil.Process(int((place / "postgres" / "postmaster.pid").read_text().split()[0]))


def test_both_servers_answer_and_the_database_is_made_once(start, supervisor):
    env, made = start()
    assert made
    with psycopg.connect(env["DATABASE_URL"]) as connection:
        assert connection.info.dbname == "farebox"
        connection.execute("CREATE TABLE kept AS SELECT 1")
    with redis.Redis.from_url(env["REDIS_URL"]) as client:
        client.set("a", "b")
        assert client.get("a") == b"b"
    with pytest.raises(redis.AuthenticationError), redis.Redis(port=port_of(env)) as stranger:
        stranger.get("a")
    supervisor.stop(*SERVERS)
    env, made = start()
    assert not made
    with psycopg.connect(env["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (1,)


def port_of(env):
    return int(env["REDIS_URL"].rsplit(":", 1)[1].split("/")[0])


def test_what_the_user_names_is_not_started(start, place):
    given = {"DATABASE_URL": "postgresql://a.test/b", "REDIS_URL": "redis://a.test"}
    assert start(given) == ({}, False)
    assert not (place / "postgres").exists()


def test_a_killed_server_is_started_again(start, supervisor, place, eventually):
    env, _ = start()
    first = postmaster(place)
    first.kill()

    def answers():
        try:
            psycopg.connect(env["DATABASE_URL"]).close()
        except psycopg.OperationalError:
            return False
        return True

    eventually(answers, supervisor.poll)
    assert postmaster(place).pid != first.pid


def test_a_server_left_over_by_an_earlier_start_is_ended(start, place, said, signals):
    earlier = Supervisor(said.append, signals, Register(place / "earlier.json"))
    try:
        start_servers({}, place, earlier, said.append, THROW_AWAY)
        left_over = postmaster(place)
        env, made = start()
        assert not made
        assert (
            f"ending a PostgreSQL left over by an earlier start (process {left_over.pid})" in said
        )
        psycopg.connect(env["DATABASE_URL"]).close()
    finally:
        earlier.stop(*SERVERS)


def test_a_pid_file_that_names_somebody_else_is_no_obstacle(start, supervisor, place):
    start()
    supervisor.stop(*SERVERS)
    (place / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n{place}\n")
    env, _ = start()
    psycopg.connect(env["DATABASE_URL"]).close()


def test_a_cluster_of_another_version_is_refused_in_words(start, supervisor, place):
    start()
    supervisor.stop(*SERVERS)
    (place / "postgres" / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedError, match="was made by PostgreSQL 17; this is 18"):
        start()


def test_a_short_home_holds_the_socket():
    assert socket_folder(Path("/home/a/.farebox")) == Path("/home/a/.farebox/socket")


@pytest.mark.parametrize("home", ["/home/" + "a" * 100, "/home/a,b", "/home/a b"])
def test_a_long_or_odd_home_has_its_socket_elsewhere_and_always_there(home):
    folder = socket_folder(Path(home))
    assert len(str(folder)) < 90
    assert folder == socket_folder(Path(home))
    assert folder != socket_folder(Path(home + "b"))


def test_a_socket_folder_planted_by_somebody_is_refused(place):
    (place / "elsewhere").mkdir()
    (place / "planted").symlink_to(place / "elsewhere")
    with pytest.raises(EmbeddedError, match="belongs to somebody else"):
        own_socket_folder(place / "planted", None)


def test_the_socket_folder_is_closed_to_others(start, place):
    start()
    assert (place / "socket").stat().st_mode & 0o777 == 0o700


def test_the_password_is_in_no_argument(start, place):
    env, _ = start()
    password = env["REDIS_URL"].split(":")[2].split("@")[0]
    arguments = [" ".join(process.cmdline()) for process in psutil.Process().children()]
    assert any("valkey" in line for line in arguments)
    assert not any(password in line for line in arguments)
