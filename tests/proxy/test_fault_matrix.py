"""Every fault of a provider, two hundred streams each: nothing stays held or open, memory is flat,
and the provider's own bill is what was captured and what was written off, to the microcredit.

All streams of all faults run beside each other, so that no fault's time is waited for twice.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import psutil
import pytest

from tests.fakes.providers import Behaviour, FakeProviders, Fault
from tests.proxy.books import KINDS, SAID, add_fleet, sums, wait_until_listed
from tests.proxy.conftest import assert_all_settled
from tests.proxy.crowd import Seen, ask, asking, run
from tests.proxy.fleet import put_back
from tests.proxy.riders import Rider, make_rider
from tests.proxy.server import Farebox, wait_for
from usage.models import Call

pytestmark = pytest.mark.xdist_group("proxy-crowds")
STREAMS = 200
STARTING = 50  # at once: a burst of hundreds waits too long for the database on a small machine
LEAKED = 3 * 2**20  # bytes a round: 3 kB a stream
MOST_ROUNDS = 5


@dataclass(frozen=True)
class Toxic:
    """A fault, and how its calls end. ``status``: what its clients are answered."""

    does: Behaviour
    ends: str
    status: int = 200
    written_off: bool = False


def breaks(fault: Fault, **more: Any) -> Toxic:
    return Toxic(replace(SAID, fault=fault, **more), Call.Status.INTERRUPTED)


def passes(**more: Any) -> Toxic:
    return Toxic(replace(SAID, **more), Call.Status.COMPLETED)


def fails(status: int, *, written_off: bool = False, **more: Any) -> Toxic:
    return Toxic(replace(SAID, **more), Call.Status.FAILED, status, written_off)


# Toxiproxy's, and those of providers that speak HTTP badly.
FAULTS = {
    "latency": passes(first_delay=0.3, delay=0.03),
    "bandwidth": passes(split=256, split_pause=0.03),
    "slicing": passes(split="random"),
    "gzip": passes(gzip=True),
    "stall": breaks(Fault.stall(5)),
    "reset": breaks(Fault.cut(5, how="reset")),
    "limit": breaks(Fault.cut(5, mid_event=True)),
    "endless line": breaks(Fault.flood(5, bound=2**18)),
    "early 200 then error": fails(502, fault=Fault.error("headers")),
    "wrong content type": fails(502, content_type="text/html", written_off=True),
}
NAMES = {name: name.replace(" ", "-") for name in FAULTS}


@pytest.fixture(scope="module")
def fleet(fake_providers: FakeProviders, price_list: Any, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock(), put_back():
        add_fleet(fake_providers, NAMES.values())
        yield


def test_every_fault_leaves_the_books_right_and_memory_flat(
    fleet: None, farebox: Farebox, fake: FakeProviders
) -> None:
    riders = [make_rider(f"rider{n}@example.com") for n in range(8)]
    for name, toxic in FAULTS.items():
        for kind in KINDS:
            fake.script(toxic.does, model=kind.asking(NAMES[name]).model)
    wait_until_listed(farebox, riders[0], NAMES.values())
    process = psutil.Process(farebox.pid)

    def handles() -> int:
        """Without the idle ones to the provider: as many are kept as were ever busy at once."""
        return process.num_fds() - fake.connections

    # Arenas, pools and connections grow to what is needed at once, mostly in the first round, but a
    # leak grows with each: so another round may show that there is none.
    run(_round(farebox, riders))
    wait_for(lambda: fake.open == 0, 10)
    kept, grown, rounds = handles(), LEAKED, 1
    while grown >= LEAKED and rounds < MOST_ROUNDS:
        before = process.memory_info().rss
        run(_round(farebox, riders))
        wait_for(lambda: fake.open == 0, 10)
        grown = process.memory_info().rss - before
        rounds += 1

    assert_all_settled(fake)
    for name, toxic in FAULTS.items():
        calls = Call.objects.filter(model__startswith=f"{NAMES[name]}-openai") | (
            Call.objects.filter(model__startswith=f"{NAMES[name]}-anthropic")
        )
        assert calls.count() == rounds * STREAMS // 2, name
        assert set(calls.values_list("status", flat=True)) == {toxic.ends}, name
    for model, sides in sums(fake).items():
        assert sides.bill == sides.cost == sides.captured + sides.written_off, (model, sides)
        ours = next(t for n, t in FAULTS.items() if model.startswith(NAMES[n] + "-"))
        assert (sides.written_off > 0) is ours.written_off, (model, sides)
    assert grown < LEAKED, f"{grown} bytes more in round {rounds}"
    wait_for(lambda: handles() - kept < 20, 10, "connections are closed")
    assert fake.connections < STREAMS, "those to the provider serve again"


async def _round(farebox: Farebox, riders: list[Rider]) -> None:
    """Half of every fault's streams, and what each client must see."""
    doors = asyncio.Semaphore(STARTING)

    async def one(name: str, data: bytes) -> None:
        _assert_told(name, await ask(farebox.port, data, doors))

    async with asyncio.TaskGroup() as group:
        for number in range(STREAMS // 2):
            kind, rider = KINDS[number % len(KINDS)], riders[number % len(riders)]
            for name in FAULTS:
                group.create_task(one(name, asking(kind.asking(NAMES[name]), rider.secret)))


def _assert_told(name: str, seen: Seen) -> None:
    toxic = FAULTS[name]
    assert seen.status == toxic.status, (name, seen.got)
    assert seen.whole is (toxic.ends != Call.Status.INTERRUPTED), (name, seen.got)
    if toxic.ends == Call.Status.INTERRUPTED:
        assert b"error" in seen.got, name
        words = toxic.does.fault.at if toxic.does.fault else 0
        assert seen.got.count(b'"word"') == words, (name, seen.got)
