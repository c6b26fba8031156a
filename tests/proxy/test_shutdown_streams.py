"""SIGTERM under two hundred streams: those that can end in time do, the others are cut at the bound
with their protocol's error event, all are booked before the process ends, and what the provider
charges is what was captured, to the microcredit."""

import asyncio
import signal
import time
from collections.abc import Callable
from dataclasses import replace

from tests.fakes.providers import FakeProviders, Fault
from tests.proxy.books import KINDS, SAID, WORDS, add_fleet, sums
from tests.proxy.conftest import assert_all_settled
from tests.proxy.crowd import Seen, ask, asking, run
from tests.proxy.fleet import put_back
from tests.proxy.riders import Rider
from tests.proxy.server import Farebox
from usage.models import Call

STREAMS = 200
PATIENCE = 6  # seconds that open streams get
PAUSE = 0.3  # between the words of those that end in time: three seconds in all
SAID_BEFORE = 4  # words of those that do not


def test_sigterm_under_two_hundred_streams(
    own_farebox: Callable[..., Farebox], fake: FakeProviders, rider: Rider
) -> None:
    with put_back():
        add_fleet(fake, ["ends", "stalls"])
        farebox = own_farebox(
            SHUTDOWN_SECONDS=str(PATIENCE), UPSTREAM_TOTAL_SECONDS="60",
            UPSTREAM_IDLE_SECONDS="60", UPSTREAM_FIRST_EVENT_SECONDS="30",
        )  # fmt: skip
        for kind in KINDS:
            fake.script(replace(SAID, delay=PAUSE), model=kind.asking("ends").model)
            stall = replace(SAID, fault=Fault.stall(SAID_BEFORE))
            fake.script(stall, model=kind.asking("stalls").model)
        names, seen, seconds, code = run(_streams(farebox, fake, rider))
        _assert_as_seen(names, seen)
        assert rider.open_holds() == 0, "every hold had ended before the process did"
        assert code == 0
        assert PATIENCE - 1 < seconds < PATIENCE + 4
        assert_all_settled(fake)
        told = sums(fake)
        for one in told.values():
            assert one.bill == one.captured + one.written_off
            assert one.written_off == 0
        statuses = [call.status for call in rider.calls()]
        completed = statuses.count(Call.Status.COMPLETED)
        interrupted = statuses.count(Call.Status.INTERRUPTED)
        assert (completed, interrupted) == (STREAMS // 2, STREAMS // 2)
        print(
            f"\nSIGTERM under {STREAMS} streams: {completed} ended in time, {interrupted} were cut "
            f"after {PATIENCE} s; exit {code} after {seconds:.1f} s, 0 holds open; the provider's "
            f"bill {sum(one.bill for one in told.values())} microcredits = captured "
            f"{sum(one.captured for one in told.values())} + written off 0; reconcile is clean"
        )


async def _streams(
    farebox: Farebox, fake: FakeProviders, rider: Rider
) -> tuple[list[str], list[Seen], float, int]:
    """Open them all, those that end last; tell the process to end once all have begun, and read
    what comes."""
    doors = asyncio.Semaphore(50)
    names = ["ends" if number >= STREAMS // 2 else "stalls" for number in range(STREAMS)]
    tasks = [
        asyncio.create_task(
            ask(farebox.port, asking(KINDS[n % len(KINDS)].asking(name), rider.secret), doors)
        )
        for n, name in enumerate(names)
    ]
    begun = lambda: len([s for s in fake.requests if s.events_sent]) == STREAMS  # noqa: E731
    await fake.until(begun, 60)
    assert fake.open > STREAMS // 2, "some of those that end are open, too"
    began = time.monotonic()
    code = await asyncio.to_thread(farebox.end, signal.SIGTERM)
    return names, await asyncio.gather(*tasks), time.monotonic() - began, code


def _assert_as_seen(names: list[str], seen: list[Seen]) -> None:
    for name, one in zip(names, seen, strict=True):
        assert one.status == 200
        assert one.whole is (name == "ends")
        assert one.got.count(b"word") == (WORDS if name == "ends" else SAID_BEFORE)
        assert (b"starting anew" in one.got) is (name == "stalls")
