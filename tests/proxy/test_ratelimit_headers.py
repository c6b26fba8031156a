"""RateLimit and RateLimit-Policy on paid answers, and on refusals by the plan's limits."""

import pytest

from billing.models import Plan
from tests.fakes.providers import Behaviour, FakeProviders, Usage
from tests.proxy.dialects import BOTH, OPENAI, Dialect
from tests.proxy.riders import CREDIT, Rider, make_rider
from tests.proxy.server import Farebox

pytestmark = pytest.mark.xdist_group("proxy-limits")
both = pytest.mark.parametrize("dialect", BOTH, ids=str)


@pytest.fixture
def limited(clean_books: bool) -> Rider:
    Plan.objects.filter(slug="free").update(
        requests_per_minute=2, open_calls=3, tokens_per_minute=60_000
    )
    return make_rider(plan="free")


@both
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
def test_answers_tell_what_is_left(
    farebox: Farebox, fake: FakeProviders, limited: Rider, dialect: Dialect, stream: bool
) -> None:
    fake.script(Behaviour(usage=Usage(input=500, output=100)))
    reply = dialect.ask(farebox, limited.secret, stream=stream, max_tokens=1_000)
    assert reply.status == 200
    assert reply.headers["ratelimit-policy"] == (
        '"requests";q=2;w=60, "tokens";q=60000;qu="tokens";w=60, '
        '"calls";q=3;qu="concurrent-requests"'
    )
    requests, tokens, calls = reply.headers["ratelimit"].split(", ")
    assert (requests, calls) == ('"requests";r=1;t=30', '"calls";r=2')
    # The most this call can use is set aside until it ends: its bound, its bytes and its frame.
    name, left, after = tokens.split(";")
    taken = 60_000 - int(left.removeprefix("r="))
    assert name == '"tokens"'
    assert 2_000 < taken < 2_300
    assert after == "t=3"

    again = dialect.ask(farebox, limited.secret, stream=stream, max_tokens=1_000)
    used = int(again.headers["ratelimit"].split(", ")[1].split(";")[1].removeprefix("r="))
    # By now it counts with the 600 tokens it used, less what has been refilled since.
    assert 60_000 - taken - 600 <= used <= 60_000 - taken


@both
def test_refusals_do_too(
    farebox: Farebox, fake: FakeProviders, limited: Rider, dialect: Dialect
) -> None:
    for _ in range(2):
        assert dialect.ask(farebox, limited.secret).status == 200
    reply = dialect.ask(farebox, limited.secret)

    dialect.assert_refused(reply, 429)
    wait = reply.headers["retry-after"]
    assert 25 <= int(wait) <= 30
    assert reply.headers["ratelimit"] == f'"requests";r=0;t={wait}'
    assert reply.headers["ratelimit-policy"].startswith('"requests";q=2;w=60, ')


@both
def test_a_minutes_tokens(
    farebox: Farebox, fake: FakeProviders, clean_books: bool, dialect: Dialect
) -> None:
    Plan.objects.filter(slug="free").update(tokens_per_minute=4_000, requests_per_minute=None)
    rider = make_rider(plan="free")
    fake.script(Behaviour(usage=Usage(input=1_000, output=2_000)))
    assert dialect.ask(farebox, rider.secret, max_tokens=2_000).status == 200
    reply = dialect.ask(farebox, rider.secret, max_tokens=2_000)

    assert "tokens a minute" in dialect.assert_refused(reply, 429)
    tokens = reply.headers["ratelimit"].split(", ")[0]
    assert tokens.endswith(f";t={reply.headers['retry-after']}")
    too_much = dialect.ask(farebox, rider.secret, max_tokens=5_000)
    assert "max_tokens=" in dialect.assert_refused(too_much, 400, param="max_tokens")
    assert len(fake.requests) == 1


def test_a_plan_without_limits_and_other_refusals_tell_nothing(
    farebox: Farebox, fake: FakeProviders, rider: Rider
) -> None:
    poor = make_rider("poor@example.com", credits=CREDIT // 1_000, plan="free")
    for reply in (
        OPENAI.ask(farebox, rider.secret),
        OPENAI.ask(farebox, poor.secret),
        OPENAI.ask(farebox, "nobody"),
    ):
        assert not {"ratelimit", "ratelimit-policy"} & set(reply.headers)
