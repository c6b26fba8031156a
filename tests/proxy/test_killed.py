"""Failure table: the process is killed; and usage that arrives after the sweep."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest
from django.db import connection

import usage.sweep
from common.ids import uuid7
from ledger.models import Hold
from ledger.reconcile import reconcile
from tests.fakes.providers import Behaviour, FakeProviders, Usage
from tests.proxy.by_hand import microcredits
from tests.proxy.dialects import BOTH, OPENAI, Reply
from tests.proxy.riders import Rider
from tests.proxy.server import Farebox, wait_for
from usage import calls
from usage.models import Call
from usage.prices import Usage as Tokens

pytestmark = pytest.mark.xdist_group("proxy-slow")
CALL = uuid7()
LEASE = 5  # seconds, HOLD_LEASE_SECONDS of the quick settings


def test_kill_9_under_ten_streams(
    own_farebox: Callable[..., Farebox], fake: FakeProviders, rider: Rider
) -> None:
    farebox = own_farebox(UPSTREAM_TOTAL_SECONDS="60", UPSTREAM_PLAIN_SECONDS="30")
    fake.script(Behaviour(events=600, delay=0.05, plain_delay=25, usage=Usage(input=400)))
    with ThreadPoolExecutor(11) as pool:
        asked = [pool.submit(_ask_till_the_end, farebox, rider, number) for number in range(11)]
        fake.wait_until(lambda: fake.open == 11, timeout=10)
        streams = Hold.objects.filter(state="open", metadata__stream=True)
        wait_for(lambda: streams.exclude(checkpoint=None).count() == 10, 10, "all checkpointed")
        farebox.kill9()
        assert all(isinstance(answer.result(10), httpx.HTTPError | Reply) for answer in asked)
    fake.wait_until(lambda: fake.open == 0)
    checkpointed = {hold.pk: hold.checkpoint for hold in Hold.objects.filter(state="open")}
    assert len(checkpointed) == 11
    assert rider.spent == 0
    assert usage.sweep.sweep() == 0, "a lease is not cut short"

    farebox.restart()
    ended = 0

    def swept() -> bool:
        nonlocal ended
        ended += usage.sweep.sweep()
        return ended == 11

    wait_for(swept, LEASE + 5, "every hold ends within its lease")
    assert (rider.held, rider.open_holds()) == (0, 0)
    recorded = rider.calls()
    assert {call.status for call in recorded} == {Call.Status.SWEPT}
    for call in recorded:
        kept = checkpointed[call.pk]
        if call.streamed:
            assert call.spent == kept["charge"] > 0
            assert call.output_tokens == kept["usage"]["output"] > 0
            price = microcredits(call.model, input=call.input_tokens, output=call.output_tokens)
            assert call.spent == price
        else:  # nothing had been delivered
            assert (kept, call.spent, call.output_tokens) == (None, 0, 0)
        assert call.estimated
    assert rider.spent == sum(call.spent for call in recorded)
    assert reconcile().violations == []
    fake.reset()
    assert OPENAI.ask(farebox, rider.secret, stream=True).whole, "it works as before"


def _ask_till_the_end(farebox: Farebox, rider: Rider, number: int) -> Reply | httpx.HTTPError:
    try:
        return BOTH[number % 2].ask(farebox, rider.secret, stream=number < 10)
    except httpx.HTTPError as error:
        return error


# --- Usage that arrives after the sweep -------------------------------------------------------


def begin(rider: Rider, *, output_tokens: int = 1_000) -> calls.Begun:
    """A call at 6 microcredits an output token, as ``proxy.settle`` begins it."""
    return calls.begin(
        call=CALL,
        digest=None,
        user=rider.user.pk,
        model="gpt-4o-mini",
        metadata={"model": "gpt-4o-mini", "provider": "openai", "protocol": "openai",
                  "price": 1, "stream": True},
        worst=calls.WorstCase(
            input_tokens=100, input_units=150 * 10**6, output_rate=6 * 10**6,
            output_tokens=output_tokens, choices=1, exact=True, floor=1,
        ),
        lease=timedelta(seconds=0),
        top_up_url="",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("checkpointed", "arrives"),
    [(None, 900), (300, 900), (900, 300), (300, 300), (300, 0)],
    ids=["nothing was kept", "more", "less", "the same", "nothing"],
)
def test_usage_after_the_sweep_posts_the_difference(
    rider: Rider, checkpointed: int | None, arrives: int
) -> None:
    begun = begin(rider)
    if checkpointed:
        kept = {"charge": checkpointed, "cost": checkpointed, "usage": {"input": 9, "output": 9}}
        _checkpoint(kept)
    assert usage.sweep.sweep() == 1
    assert rider.spent == (checkpointed or 0)
    for repeated in (False, True):
        done = calls.finish(
            call=CALL, status="completed", charge=arrives, cost=arrives,
            usage=Tokens(input=10, output=20), estimated=False,
        )  # fmt: skip
        assert (done.spent, done.written_off, done.repeated) == (arrives, 0, repeated)
        assert rider.spent == arrives
    call = rider.only_call()
    assert (call.status, call.estimated, call.held) == ("completed", False, begun.held)
    assert (call.input_tokens, call.output_tokens) == (10, 20)
    assert rider.month() == (1, 10, 20, arrives)
    assert reconcile().violations == []


def test_usage_after_the_sweep_takes_at_most_what_is_available(rider: Rider) -> None:
    begin(rider)
    assert usage.sweep.sweep() == 1
    done = calls.finish(
        call=CALL, status="completed", charge=rider.funded + 77, cost=5,
        usage=Tokens(input=10, output=20), estimated=False,
    )  # fmt: skip
    assert (done.spent, done.written_off) == (rider.funded, 77)
    assert rider.account.posted == 0
    assert reconcile().violations == []


def _checkpoint(kept: dict[str, object]) -> None:
    """What a process keeps, without the lease that it renews."""
    calls.checkpoint(calls={CALL: kept}, lease=timedelta(seconds=0))
    with connection.cursor() as cursor:
        cursor.execute("SELECT checkpoint IS NOT NULL FROM ledger_hold")
        assert cursor.fetchone() == (True,)
