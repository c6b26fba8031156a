"""What programs are given: the user's environment first, defaults of this machine beside it."""

import pytest

from devtools import test as bin_test
from devtools.dev import choose_port
from devtools.environment import BadValue, project_environment, whole
from devtools.home import Home
from devtools.prepare import CannotStart


@pytest.fixture
def home(place):
    return Home.locate({"FAREBOX_HOME": str(place / "home")})


def test_a_newcomer_gets_debug_and_port_8000(home):
    env = project_environment({}, home)
    assert (env["DEBUG"], env["PORT"]) == ("true", "8000")
    assert env["FAREBOX_HOME"] == str(home.path)
    assert "ALLOW_DEMO" not in env


def test_production_settings_get_what_loopback_needs(home):
    env = project_environment({"DEBUG": "false"}, home)
    assert env["ALLOWED_HOSTS"] == "127.0.0.1,localhost,[::1]"
    assert (env["HTTPS"], env["ALLOW_DEMO"]) == ("false", "true")
    assert env["EMAIL_URL"] == "consolemail://"
    assert len(env["SECRET_KEY"]) >= 50


def test_real_payments_do_not_allow_the_demo(home):
    env = project_environment({"DEBUG": "no", "STRIPE_SECRET_KEY": "sk_test_1"}, home)
    assert "ALLOW_DEMO" not in env


def test_what_the_user_gave_stays(home):
    given = {
        "DEBUG": "false",
        "ALLOWED_HOSTS": "a.test",
        "ALLOW_DEMO": "false",
        "SECRET_KEY": "mine",
    }
    env = project_environment(given, home)
    assert {name: env[name] for name in given} == given


def test_an_empty_variable_is_an_absent_one(home):
    assert project_environment({"DEBUG": ""}, home)["DEBUG"] == "true"


@pytest.mark.parametrize("value", ["http", "-1", "1.5", "65536", "٣"])
def test_a_bad_number_is_named(value):
    with pytest.raises(BadValue, match=r"^PORT: must be a whole number from 0 to 65535"):
        whole({"PORT": value}, "PORT", 8000, 0, 65535)


def test_a_bad_flag_is_named(home):
    with pytest.raises(BadValue, match=r"^DEBUG: must be true or false"):
        project_environment({"DEBUG": "maybe"}, home)


def test_a_taken_port_is_said_and_zero_chooses_one():
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CannotStart, match=f"^port {port}: .*choose another"):
            choose_port({"PORT": str(port)})
        assert choose_port({"PORT": "0"}) not in (0, port)


def test_tests_see_no_setting_of_the_users(place):
    given = {
        "PATH": "/bin",
        "OPENAI_API_KEY": "sk-1",
        "ANTHROPIC_BASE_URL": "https://a.test",
        "STRIPE_SECRET_KEY": "sk_live_1",
        "PGPORT": "1",
        "https_proxy": "http://proxy.test",
        "DEBUG": "false",
        "CREDIT_NAME": "stars",
        "DATABASE_URL": "postgresql://a.test/production",
    }
    env = bin_test.test_environment(given, place)
    assert {name for name in given if name in env} == {"PATH", "DEBUG"}
    assert env["DEBUG"] == "true"


@pytest.mark.parametrize(
    "arguments",
    [["-n", "4"], ["-n0"], ["-nauto"], ["--numprocesses=3"], ["-p", "no:xdist"], ["--pdb"]],
)
def test_a_chosen_number_of_processes_stays(arguments):
    assert bin_test.parallel(["tests/ledger", *arguments]) == []


@pytest.mark.parametrize("arguments", [[], ["-x", "-k", "no"], ["tests/no_such.py", "-vv"]])
def test_otherwise_there_are_four(arguments):
    assert bin_test.parallel(arguments) == [
        "-n",
        "4",
        "--dist",
        "loadfile",
        "--no-loadscope-reorder",
    ]
