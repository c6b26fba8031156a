"""STRIPE_FAKE: what programs are given, and a fake that is the same one after a restart."""

import socket

import pytest

from devtools.dev import announce
from devtools.environment import BadValue, project_environment
from devtools.fake_stripe import FakeStripe, kept_port, wanted
from devtools.home import Home
from devtools.servers import start_servers


@pytest.fixture
def home(place):
    return Home.locate({"FAREBOX_HOME": str(place / "home")})


def test_payments_are_on_with_a_test_key_that_stays(home):
    env = project_environment({"STRIPE_FAKE": "true"}, home)
    assert env["ENABLE_PAYMENTS"] == "true"
    assert env["STRIPE_SECRET_KEY"].startswith("sk_test_")
    assert len(env["STRIPE_SECRET_KEY"]) >= len("sk_test_") + 24
    again = project_environment({"STRIPE_FAKE": "true"}, home)
    assert again["STRIPE_SECRET_KEY"] == env["STRIPE_SECRET_KEY"]
    assert (home.path / "stripe_key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("given", [{}, {"STRIPE_FAKE": "false"}, {"STRIPE_FAKE": ""}])
def test_without_it_nothing_is_set(home, given):
    env = project_environment(given, home)
    assert not wanted(given)
    assert not {"STRIPE_SECRET_KEY", "ENABLE_PAYMENTS", "NO_PROXY"} & set(env)


def test_production_settings_keep_the_demo_user_beside_it(home):
    env = project_environment({"STRIPE_FAKE": "true", "DEBUG": "false"}, home)
    assert (env["ALLOW_DEMO"], env["ENABLE_PAYMENTS"]) == ("true", "true")


@pytest.mark.parametrize("key", ["sk_live_" + "a" * 24, "rk_test_" + "a" * 24])
def test_a_key_for_stripe_itself_is_refused_and_not_repeated(home, key):
    with pytest.raises(BadValue, match=r"^STRIPE_SECRET_KEY: ") as refused:
        project_environment({"STRIPE_FAKE": "true", "STRIPE_SECRET_KEY": key}, home)
    assert key not in str(refused.value)


def test_a_test_key_of_the_users_stays(home):
    given = {"STRIPE_FAKE": "true", "STRIPE_SECRET_KEY": "sk_test_" + "m" * 24}
    assert project_environment(given, home)["STRIPE_SECRET_KEY"] == given["STRIPE_SECRET_KEY"]


def test_a_proxy_of_the_users_is_gone_around(home):
    env = project_environment({"STRIPE_FAKE": "true", "NO_PROXY": "intranet.test"}, home)
    assert env["NO_PROXY"] == env["no_proxy"] == "intranet.test,127.0.0.1"


def test_the_port_is_kept_until_another_program_has_it(place):
    path = place / "stripe_port"
    port = kept_port(path)
    assert kept_port(path) == port
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        moved = kept_port(path)
        assert moved != port
    assert kept_port(path) == moved


@pytest.mark.parametrize("junk", ["", "port", "0", "70000"])
def test_a_spoiled_port_file_is_written_anew(place, junk):
    path = place / "stripe_port"
    path.write_text(junk)
    assert kept_port(path) == int(path.read_text())


def test_it_starts_with_the_servers_and_remembers_over_a_restart(home, supervisor, signals):
    import stripe

    env = project_environment({"STRIPE_FAKE": "true"}, home)
    # Neither server is started: these are not asked before bin/dev says it is ready.
    env |= {"DATABASE_URL": "postgresql:///none", "REDIS_URL": "redis://127.0.0.1:1"}

    def client():
        found, made = start_servers(env, home.path, supervisor, print)
        assert (set(found), made) == ({"STRIPE_API_HOST"}, False)
        return found["STRIPE_API_HOST"], stripe.StripeClient(
            env["STRIPE_SECRET_KEY"],
            base_addresses={"api": found["STRIPE_API_HOST"]},
            http_client=stripe.UrllibClient(),
        )

    url, api = client()
    customer = api.v1.customers.create({"email": "rider@example.com"})
    supervisor.stop(["stripe"])
    assert not FakeStripe(env, home.path).is_ready()
    again, api = client()
    assert again == url
    assert api.v1.customers.retrieve(customer.id).email == "rider@example.com"
    supervisor.stop(["stripe"])


def test_its_address_and_cards_are_told(capsys):
    announce("8000", None, debug=True, stripe="http://127.0.0.1:9")
    ready, told = capsys.readouterr().out.splitlines()
    assert ready == "Farebox is ready: http://127.0.0.1:8000"
    assert told == (
        "fake Stripe: http://127.0.0.1:9 "
        "(cards: 4242 4242 4242 4242 pays, 4000 0000 0000 0002 is declined; "
        "that page turns the clock, refunds and disputes)"
    )
