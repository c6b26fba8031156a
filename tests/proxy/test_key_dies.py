"""A key dies under load, in two processes of one fleet: nobody notices, and it serves again.

Four deaths at once, each of a model with a twin to fall back on, under 50 callers that stream.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from django.db import connection

from tests.fakes.providers import Behaviour, FakeProviders
from tests.proxy.conftest import assert_all_settled, assert_log_clean, lasting, up_to_date
from tests.proxy.crowd import ask, asking, run
from tests.proxy.dialects import OPENAI
from tests.proxy.fleet import IN, OUT, add_key, add_model, add_provider, put_back
from tests.proxy.gate import Gate
from tests.proxy.riders import Rider
from tests.proxy.server import Farebox, server_environment, wait_for
from usage.models import Call, Provider

pytestmark = pytest.mark.xdist_group("proxy-key-dies")
CALLERS = 50
RETRY_AFTER = 3
CONNECT_SECONDS = 1
# A connection a call, so that a gate which is shut is met by the next one.
WELL = Behaviour(events=3, delay=0.2, headers=(("connection", "close"),))
DEATHS = ("refused-key", "limited", "nobody-there", "no-answer")


@dataclass
class Load:
    """What the callers of one model met: (status, whole?) of each call."""

    met: list[tuple[int, bool]] = field(default_factory=list)


@pytest.fixture(scope="module")
def fleet(
    fake_providers: FakeProviders, price_list: Any, database_url: str, django_db_blocker: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[list[Farebox]]:  # fmt: skip
    """Two processes."""
    with django_db_blocker.unblock(), put_back():
        base = fake_providers.openai_base_url
        for name in ("refused-key", "limited"):
            add_provider(name, base, {f"{name}-1": 1, f"{name}-2": 1})
            add_model(f"m-{name}", [(name, "")])
        home = tmp_path_factory.mktemp("key-dies")
        environment = server_environment(
            fake_providers, database_url, UPSTREAM_CONNECT_SECONDS=str(CONNECT_SECONDS),
            UPSTREAM_FIRST_EVENT_SECONDS="8",
        )  # fmt: skip
        with (
            lasting(Farebox(environment, home / "0.log")) as first,
            lasting(Farebox(environment, home / "1.log")) as second,
        ):
            yield [first, second]


@pytest.fixture
def fareboxes(
    fleet: list[Farebox], fake: FakeProviders, clean_books: bool
) -> Iterator[list[Farebox]]:
    starts = [one.log_size for one in fleet]
    yield [up_to_date(one) for one in fleet]
    assert_all_settled(fake)
    for one, start in zip(fleet, starts, strict=True):
        assert_log_clean(one.log_text(start), fake)


async def caller(load: Load, farebox: Farebox, rider: Rider, model: str, stop: Any) -> None:
    """One stream after the other, each on a connection of its own."""
    data = asking(replace(OPENAI, model=model), rider.secret)
    door = asyncio.Semaphore(1)
    while not stop.is_set():
        seen = await ask(farebox.port, data, door)
        load.met.append((seen.status, seen.whole and b"data: [DONE]\n\n" in seen.got))


async def until(condition: Callable[[], Any], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.05)


def test_nobody_notices_and_it_serves_again(
    fareboxes: list[Farebox], fake: FakeProviders, rider: Rider
) -> None:
    loads = {name: Load() for name in DEATHS}
    keys = ["refused-key-1", "refused-key-2", "limited-1", "limited-2", "twin-key"]
    keys += ["nobody-there-1", "no-answer-1", "refused-key-new"]
    for key in keys:
        fake.take_key(key, WELL)
    starts = [one.log_size for one in fareboxes]

    def served(name: str) -> int:
        return fake.asked_with(f"{name}-1")

    def logged(words: str) -> list[int]:
        return [
            one.log_text(start).count(words) for one, start in zip(fareboxes, starts, strict=True)
        ]

    async def main() -> tuple[dict[str, int], dict[str, list[int]]]:
        nobody, silent = Gate(fake.port), Gate(fake.port)
        await nobody.open()
        await silent.open()
        await asyncio.to_thread(add_gated, nobody.port, silent.port, fake)
        stop = asyncio.Event()
        tasks: list[asyncio.Task[None]] = []
        try:
            await asyncio.to_thread(wait_until_known, fareboxes, rider)
            for number in range(CALLERS):
                name = DEATHS[number % len(DEATHS)]
                farebox = fareboxes[number // len(DEATHS) % 2]
                work = caller(loads[name], farebox, rider, f"m-{name}", stop)
                tasks.append(asyncio.create_task(work))
            await until(lambda: all(served(n) >= 8 for n in DEATHS), 30, "all keys serve")

            fake.take_key("refused-key-1", Behaviour(status=401))
            fake.take_key("limited-1", Behaviour(status=429, retry_after=str(RETRY_AFTER)))
            nobody.shut()
            silent.block()
            before = {name: len(load.met) for name, load in loads.items()}
            fell = {name: served(name) for name in ("refused-key", "limited")}
            # Who was let through a gate before it fell may still be on the way to the provider.
            await asyncio.gather(nobody.drained(), silent.drained())
            fell |= {name: served(name) for name in ("nobody-there", "no-answer")}
            await until(
                lambda: all(len(loads[n].met) >= before[n] + 40 for n in DEATHS), 40, "calls go on"
            )
            asked = {name: served(name) - fell[name] for name in DEATHS}
            aside = {"set aside": logged("provider set aside")}

            # Each is healed; of the refused key, another is entered in its place.
            await asyncio.to_thread(enter_another, "refused-key", "refused-key-new")
            fake.take_key("limited-1", WELL)
            await nobody.open()
            await silent.open()
            healed = {name: served(name) for name in DEATHS}
            again = [name for name in DEATHS if name != "refused-key"]
            await until(
                lambda: all(served(n) >= healed[n] + 4 for n in again)
                and fake.asked_with("refused-key-new") >= 4
                and min(logged("provider serves again")) >= len(again),
                40, "all serve again, from both processes",
            )  # fmt: skip
            aside["serves again"] = logged("provider serves again")
            return asked, aside
        finally:
            stop.set()
            await asyncio.gather(*tasks)
            await nobody.close()
            await silent.close()

    with put_back():
        asked, told = run(main())
        total = sum(len(load.met) for load in loads.values())
        print(f"{total} calls of {CALLERS} callers; asked of the dead: {asked}; {told}")
        for name, load in loads.items():
            assert set(load.met) == {(200, True)}, f"{name}: a failed call"
        # Who was on the way to it when it died, in each process, and a probe now and then.
        assert asked["refused-key"] <= CALLERS
        assert asked["limited"] <= CALLERS
        assert asked["nobody-there"] == asked["no-answer"] == 0
        assert min(told["set aside"]) >= len(DEATHS), "each process has learned of each death"
        wait_for(lambda: rider.user.calls.count() == total, 15, "all are booked")
        calls = rider.calls()
        assert {(call.status, call.estimated) for call in calls} == {(Call.Status.COMPLETED, False)}
        assert rider.spent == total * (10 * IN + 3 * OUT), "billed once each"
        answered = sum(one.finished and one.status == 200 for one in fake.requests)
        assert answered == total, "and the provider was paid once for each"


def add_gated(nobody: int, silent: int, fake: FakeProviders) -> None:
    """Two models whose first provider is behind a gate, and whose second is not."""
    add_provider("twin", fake.openai_base_url, {"twin-key": 1})
    for name, port in (("nobody-there", nobody), ("no-answer", silent)):
        add_provider(name, f"http://127.0.0.1:{port}/v1", {f"{name}-1": 1})
        add_model(f"m-{name}", [(name, ""), ("twin", "")])
    connection.close()  # this thread's own


def enter_another(name: str, secret: str) -> None:
    provider = Provider.objects.get(name=name)
    provider.keys.filter(label="label of 1").update(enabled=False)
    add_key(provider, secret)
    connection.close()


def wait_until_known(fareboxes: list[Farebox], rider: Rider) -> None:
    """Both processes have read the new models, as each does every few seconds."""
    for farebox in fareboxes:
        for name in ("nobody-there", "no-answer"):
            wait_for(
                lambda f=farebox, n=name: (  # type: ignore[misc]
                    OPENAI.ask(f, rider.secret, model=f"m-{n}", max_tokens=0).status == 400
                ),
                15, "the models are known",
            )  # fmt: skip
