"""RateLimit and RateLimit-Policy: exactly what usage_begin would let through next."""

import re

import pytest

from common.ids import uuid7
from tests.ledger.books import query
from tests.usage.begun import finish, put_on_plan
from tests.usage.calls import LEASE, METADATA
from usage import calls
from usage.limits import Limits, OverLimit

pytestmark = pytest.mark.usefixtures("proved")


@pytest.fixture
def rich(user, wallet, fund):
    fund(wallet, 1_000_000)
    return user


def begin(user):
    """30 tokens at most; the call's id, and its two headers."""
    call = uuid7()
    worst = calls.WorstCase(
        input_tokens=10, input_units=10_000_000, output_rate=0, output_tokens=20, choices=1,
        exact=True, floor=5,
    )  # fmt: skip
    begun = calls.begin(
        call=call, digest=None, user=user.pk, model="demo", metadata=METADATA, worst=worst,
        lease=LEASE, top_up_url="",
    )  # fmt: skip
    if begun.limits is None:
        return call, None, None
    told = dict(begun.limits.headers())
    return call, told[b"ratelimit-policy"].decode(), told[b"ratelimit"].decode()


def refused(user):
    with pytest.raises(OverLimit) as raised:
        begin(user)
    return raised.value.headers


def test_a_plan_without_limits_tells_none(rich):
    put_on_plan(rich)

    assert begin(rich)[1:] == (None, None)


def test_every_limit_of_the_plan_is_told(rich):
    put_on_plan(rich, requests_per_minute=6, tokens_per_minute=600, open_calls=4)

    _, policy, left = begin(rich)
    assert policy == (
        '"requests";q=6;w=60, "tokens";q=600;qu="tokens";w=60, "calls";q=4;qu="concurrent-requests"'
    )
    assert left == '"requests";r=5;t=10, "tokens";r=570;t=3, "calls";r=3'


@pytest.mark.parametrize(
    ("limit", "policy", "left"),
    [
        ({"requests_per_minute": 3}, '"requests";q=3;w=60', '"requests";r=2;t=20'),
        ({"open_calls": 1}, '"calls";q=1;qu="concurrent-requests"', '"calls";r=0'),
        ({"tokens_per_minute": 30}, '"tokens";q=30;qu="tokens";w=60', '"tokens";r=0;t=60'),
    ],
)
def test_others_are_not(rich, limit, policy, left):
    put_on_plan(rich, **limit)

    assert begin(rich)[1:] == (policy, left)


def test_what_is_left_of_requests_is_let_through(rich):
    put_on_plan(rich, requests_per_minute=5)

    left = [begin(rich)[2] for _ in range(5)]
    assert [re.findall(r"r=(\d+)", told) for told in left] == [["4"], ["3"], ["2"], ["1"], ["0"]]
    headers = refused(rich)
    assert headers["ratelimit"] == '"requests";r=0;t=12'
    assert headers["retry-after"] == "12"
    assert headers["ratelimit-policy"] == '"requests";q=5;w=60'

    query("UPDATE ledger_account SET rate_tat = rate_tat - interval '12 s'")
    assert begin(rich)[2].startswith('"requests";r=0;')


def test_what_is_left_of_open_calls_is_let_through(rich):
    put_on_plan(rich, open_calls=2)
    first, _, left = begin(rich)
    assert left == '"calls";r=1'
    assert begin(rich)[2] == '"calls";r=0'
    headers = refused(rich)
    assert (headers["ratelimit"], headers["retry-after"]) == ('"calls";r=0', "1")

    finish(first, 5)
    assert begin(rich)[2] == '"calls";r=0'


def test_what_is_left_of_tokens_is_let_through(rich):
    put_on_plan(rich, tokens_per_minute=120)
    first, _, left = begin(rich)
    assert left == '"tokens";r=90;t=15'
    for _ in range(3):
        left = begin(rich)[2]
    assert left == '"tokens";r=0;t=60'
    finish(first, 5, usage={"input": 2, "output": 8})

    headers = refused(rich)
    # Twenty were given back; ten more come with time, at two a second.
    assert headers["ratelimit"] == '"tokens";r=20;t=5'
    assert headers["retry-after"] == "5"


def test_a_refusal_tells_no_more_than_was_looked_at():
    left = Limits(2, 60_000_000, 3, None, 100, None)

    error = OverLimit("wait", retry_after=99, policy="requests", limits=left)
    assert error.headers == {
        "retry-after": "60",
        "ratelimit-policy": '"requests";q=2;w=60, "tokens";q=100;qu="tokens";w=60, '
        '"calls";q=3;qu="concurrent-requests"',
        "ratelimit": '"requests";r=0;t=60',
    }
