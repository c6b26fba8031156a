"""A plan's limits under 200 callers at once, over the real socket: never one request, token or open
call above; each control takes the wallet's lock out of usage_begin and shows that it is needed."""

import asyncio
import collections
import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import httpx
import psycopg
import pytest
from django.db import connection

import usage.sweep
from accounts import verbs as accounts
from billing.models import Plan
from ledger.models import Hold
from tests.fakes.providers import Behaviour, FakeProviders, Usage
from tests.proxy.by_hand import microcredits
from tests.proxy.crowd import ask, run
from tests.proxy.dialects import OPENAI
from tests.proxy.riders import Rider, make_rider
from tests.proxy.server import Farebox
from tests.proxy.wire import request
from tests.usage.unlocked import begins_unlocked
from usage.models import Call

pytestmark = pytest.mark.xdist_group("proxy-limits")

CALLERS = 200
ALONE = {"connection": "close"}  # each caller has a connection of their own
# Of the proxy's connections, when nothing guards: more than any limit here allows.
TOGETHER = 8
# What a call of these can use at most: 100 tokens out, the request's bytes and its frame in.
WORST = len(json.dumps(OPENAI.body(max_tokens=100), separators=(",", ":"))) + 1_000 + 100


def ask_at_once(farebox: Farebox, key: str, *asked: dict[str, Any]) -> collections.Counter[int]:
    """How often each status came; the callers ask for one of ``asked`` in turn."""
    datas = [
        request(OPENAI, key, json.dumps(OPENAI.body(**one)).encode(), headers=ALONE)
        for one in asked or ({"max_tokens": 100},)
    ]

    async def ask_all() -> list[int]:
        doors = asyncio.Semaphore(CALLERS)
        answers = [ask(farebox.port, datas[n % len(datas)], doors) for n in range(CALLERS)]
        return [answer.status for answer in await asyncio.gather(*answers)]

    return collections.Counter(run(ask_all()))


@contextmanager
def unguarded(connect: Callable[..., psycopg.Connection[Any]]) -> Iterator[None]:
    """Calls begin without the wallet's lock, and the first ones look before any of them acts."""
    with begins_unlocked() as meeting:
        meeting.expect(connect(), TOGETHER)
        yield


def begun() -> list[Hold]:
    return list(Hold.objects.filter(kind="call").order_by("created"))


def requests_above(limit: int) -> bool:
    """Whether more were begun than a burst of ``limit`` and what is refilled meanwhile."""
    times = [hold.created for hold in begun()]
    seconds = (times[-1] - times[0]).total_seconds()
    return len(times) > limit + seconds * limit / 60 + 0.01


def calls_above(limit: int) -> bool:
    """Whether more were open at one time."""
    changes = [(call.started, 1) for call in Call.objects.all()]
    changes += [(hold.ended, -1) for hold in begun() if hold.ended]
    return max(itertools.accumulate(change for _, change in sorted(changes))) > limit


def tokens_above(limit: int) -> bool:
    """Whether calls that were open at one time could use more."""
    return calls_above(limit // WORST)


CASES: dict[str, tuple[dict[str, int], Callable[[int], bool]]] = {
    "requests": ({"requests_per_minute": 7}, requests_above),
    "tokens": ({"tokens_per_minute": 6 * WORST + WORST // 2}, tokens_above),
    "open calls": ({"open_calls": 5}, calls_above),
}


@pytest.mark.parametrize("guard", [True, False], ids=["guarded", "control"])
@pytest.mark.parametrize("case", CASES)
def test_two_hundred_at_once(
    farebox: Farebox,
    fake: FakeProviders,
    clean_books: bool,
    connect: Callable[..., psycopg.Connection[Any]],
    case: str,
    guard: bool,
) -> None:
    limits, above = CASES[case]
    none: dict[str, Any] = dict.fromkeys(("requests_per_minute", "tokens_per_minute", "open_calls"))
    Plan.objects.filter(slug="free").update(**none | limits)
    rider = make_rider(plan="free")
    fake.script(Behaviour(plain_delay=1, usage=Usage(input=100, output=10)))
    with nullcontext() if guard else unguarded(connect):
        statuses = ask_at_once(farebox, rider.secret)

    assert set(statuses) <= {200, 429}
    assert statuses[200] == len(begun()) == rider.month()[0]
    assert above(*limits.values()) is not guard
    if guard:
        assert statuses[200] >= min(limits.values()) // (WORST if case == "tokens" else 1)
        assert statuses[429] > 0


def most_of_a_cap() -> int:
    """The most that a key's calls had spent and held at one time, microcredits."""
    spent = {call.pk: call.spent for call in Call.objects.all()}
    changes = [(hold.created, hold.amount) for hold in begun()]
    changes += [(h.ended, spent[h.pk] - h.amount) for h in begun() if h.ended]
    return max(itertools.accumulate(change for _, change in sorted(changes)))


@pytest.mark.parametrize("guard", [True, False], ids=["guarded", "control"])
def test_two_hundred_at_once_by_a_key_with_a_cap(
    farebox: Farebox,
    fake: FakeProviders,
    rider: Rider,
    connect: Callable[..., psycopg.Connection[Any]],
    guard: bool,
) -> None:
    one = microcredits("gpt-4o-mini", input=WORST - 100, output=100)
    cap = 5 * one + one // 2
    capped = accounts.issue_key(user=rider.user, name="capped", monthly_cap=cap)
    fake.script(Behaviour(plain_delay=1, usage=Usage(input=100, output=10)))
    with nullcontext() if guard else unguarded(connect):
        statuses = ask_at_once(farebox, capped.secret)

    assert set(statuses) == {200, 402}
    assert statuses[200] == len(begun()) == rider.month()[0]
    assert (most_of_a_cap() > cap) is not guard
    if guard:
        assert statuses[200] >= 5


@pytest.mark.parametrize("guard", [True, False], ids=["guarded", "control"])
def test_two_hundred_at_once_for_what_the_plan_leaves_out(
    farebox: Farebox, fake: FakeProviders, clean_books: bool, guard: bool
) -> None:
    """Other models, and longer answers; the control is a plan without either limit."""
    limits: dict[str, Any] = {"allowed_models": ["gpt-4o-mini"], "max_output_tokens": 100}
    Plan.objects.create(slug="small", name="Small", **limits if guard else {})
    rider = make_rider(plan="small")
    asks: list[dict[str, Any]] = [
        {"max_tokens": 100}, {}, {"max_tokens": 101}, {"model": "gpt-4o", "max_tokens": 100},
    ]  # fmt: skip
    statuses = ask_at_once(farebox, rider.secret, *asks)

    each = CALLERS // len(asks)
    expected = {200: 2 * each, 400: each, 403: each} if guard else {200: CALLERS}
    assert statuses == expected
    bodies = [served.json for served in fake.requests]
    assert len(bodies) == len(begun()) == expected[200]
    bounds = {body.get("max_tokens") or body.get("max_completion_tokens") for body in bodies}
    models = {body["model"] for body in bodies}
    assert (bounds == {100}) is guard
    assert (models == {"gpt-4o-mini"}) is guard


def test_leases_end_by_themselves(
    farebox: Farebox, own_farebox: Callable[..., Farebox], fake: FakeProviders
) -> None:
    """The calls of a process that died are in nobody's way when their leases are over."""
    Plan.objects.filter(slug="free").update(open_calls=1, requests_per_minute=None)
    rider = make_rider(plan="free")
    fake.script(Behaviour(events=600, delay=0.05))
    dying = own_farebox()
    headers = OPENAI.headers(rider.secret)
    with (
        httpx.Client(trust_env=False) as client,
        client.stream(
            "POST", dying.url + OPENAI.path, json=OPENAI.body(stream=True), headers=headers
        ) as stream,
    ):
        assert stream.status_code == 200
        assert OPENAI.ask(farebox, rider.secret).status == 429
        dying.kill9()
    fake.script(Behaviour())
    waited = [OPENAI.ask(farebox, rider.secret)]
    while waited[-1].status == 429 and len(waited) < 20:
        assert waited[-1].headers["retry-after"] == "1"
        _expire(Hold.objects.get(state="open"))
        waited.append(OPENAI.ask(farebox, rider.secret))
    assert waited[-1].status == 200
    assert len(waited) <= 2
    assert usage.sweep.sweep() == 1, "which does not yet end it"


def _expire(hold: Hold) -> None:
    """Wait until a lease is over, by the database's clock."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_sleep(greatest(extract(epoch FROM lease_until - clock_timestamp()), 0))"
            " FROM ledger_hold WHERE id = %s",
            [hold.pk],
        )
