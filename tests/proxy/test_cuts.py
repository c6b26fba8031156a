"""A thousand streams that their clients leave: the provider's own bill is what was captured and
what was written off, whichever way the provider takes a leaving.

The clients leave at the first event, at the first word, half way and at the last event, half of
them with a reset.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.fakes.providers import Behaviour, FakeProviders, Fault
from tests.proxy.books import KINDS, SAID, WORDS, add_fleet, sums, wait_until_listed
from tests.proxy.conftest import assert_all_settled
from tests.proxy.crowd import ask, asking, run
from tests.proxy.fleet import IN, OUT, put_back
from tests.proxy.riders import Rider, make_rider
from tests.proxy.server import Farebox
from usage.models import Call

pytestmark = pytest.mark.xdist_group("proxy-crowds")
STREAMS = 1_000
STARTING = 50
PACE = 0.15


def after(words: int) -> Callable[[bytes], bool]:
    return lambda got: got.count(b'"word"') >= words and got.count(b"data:") > 0


def at_last_event(got: bytes) -> bool:
    return b'"finish_reason":"stop"' in got or b"message_delta" in got


POINTS: dict[str, tuple[Fault, Callable[[bytes], bool]]] = {
    "first-event": (Fault.stall(0), after(0)),
    "first-word": (Fault.stall(1), after(1)),
    "half-way": (Fault.stall(WORDS // 2), after(WORDS // 2)),
    "last-event": (Fault.stall("end"), at_last_event),
}
FLOWING = "flowing"


@pytest.fixture(scope="module")
def fleet(fake_providers: FakeProviders, price_list: Any, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock(), put_back():
        add_fleet(fake_providers, [*POINTS, FLOWING])
        yield


@pytest.fixture
def riders(fleet: None, farebox: Farebox) -> list[Rider]:
    riders = [make_rider(f"rider{n}@example.com") for n in range(8)]
    wait_until_listed(farebox, riders[0], [*POINTS, FLOWING])
    return riders


async def _leave(farebox: Farebox, riders: list[Rider], streams: int, names: list[str]) -> None:
    """Streams whose clients leave at the points of these names, in turn."""
    doors = asyncio.Semaphore(STARTING)
    points = list(POINTS)
    async with asyncio.TaskGroup() as group:
        for number in range(streams):
            kind = KINDS[number % len(KINDS)]
            turn = number // len(KINDS)
            name = names[turn % len(names)]
            leave_at = POINTS[name if name in POINTS else points[turn % len(points)]][1]
            data = asking(kind.asking(name), riders[number % len(riders)].secret)
            rudely = turn // len(names) % 2 == 0
            group.create_task(ask(farebox.port, data, doors, leave_at=leave_at, rudely=rudely))


def test_a_thousand_cuts_are_paid_for(
    farebox: Farebox, fake: FakeProviders, riders: list[Rider]
) -> None:
    """Cut off, the provider is where the client left it; read to the end, it goes on."""
    for name, (fault, _) in POINTS.items():
        for kind in KINDS:
            says = replace(SAID, fault=fault) if kind.policy == "cancel" else _slow(SAID)
            fake.script(says, model=kind.asking(name).model)
    run(_leave(farebox, riders, STREAMS, list(POINTS)))
    assert_all_settled(fake)
    assert Call.objects.count() == STREAMS
    # Whoever leaves at the last event of an answer that goes on may find that it was whole before.
    late = Call.objects.exclude(status=Call.Status.CANCELED)
    assert not late.exclude(provider__endswith="-drain", status=Call.Status.COMPLETED).exists()
    assert late.count() < STREAMS // 4
    for model, sides in sums(fake).items():
        assert sides.bill == sides.cost == sides.captured, (model, sides)
        assert sides.written_off == 0, (model, sides)
    drained = Call.objects.filter(provider__endswith="-drain")
    assert drained.count() == STREAMS // 2
    assert set(drained.values_list("spent", flat=True)) == {100 * IN + WORDS * OUT}
    assert not drained.filter(estimated=True).exists(), "the provider has counted them"


def test_what_is_still_on_its_way_when_a_client_leaves_is_a_word_at_most(
    farebox: Farebox, fake: FakeProviders, riders: list[Rider]
) -> None:
    """A provider that goes on talking while it is cut off charges for what nobody has seen."""
    for kind in KINDS:
        fake.script(_slow(SAID), model=kind.asking(FLOWING).model)
    streams = 200
    run(_leave(farebox, riders, streams, [FLOWING]))
    assert_all_settled(fake)
    for model, sides in sums(fake).items():
        assert sides.captured == sides.cost, "what was never seen is in no book of ours"
        lost = sides.bill - sides.captured
        assert 0 <= lost <= OUT * streams // len(KINDS), (model, sides)
        assert lost == 0 or model.endswith("-cancel"), (model, sides)


def _slow(says: Behaviour) -> Behaviour:
    """The same at a pace at which a client can leave in between."""
    return replace(says, delay=PACE)
