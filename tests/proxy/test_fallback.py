"""A provider's trouble is hidden where another key or provider can answer, and told where none can.

One server for all: each way of failing has a provider, a key and a model of its own, so that what
its breakers learn is no other test's. ``spare`` is the fallback of each.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from proxy.breaker import SHORTEST
from tests.fakes.providers import Behaviour, FakeProviders, Fault, Usage
from tests.proxy.conftest import assert_all_settled, assert_log_clean, lasting, up_to_date
from tests.proxy.crowd import ask, asking, run
from tests.proxy.dialects import ANTHROPIC, OPENAI, Dialect, Reply
from tests.proxy.fleet import IN, OUT, add_key, add_model, add_provider, put_back
from tests.proxy.riders import Rider
from tests.proxy.server import Farebox, free_port, server_environment, wait_for
from tests.proxy.wire import Wire
from usage.models import Call, Provider

pytestmark = pytest.mark.xdist_group("proxy-fallback")
ALWAYS, NEVER = 99, 0


@dataclass(frozen=True)
class Failure:
    """How a first provider fails. ``asked``: how many of a row of calls still reach it;
    ``plain``: whether it fails so without a stream, too."""

    does: Behaviour
    asked: int
    plain: bool = True


FAILURES = {
    "401": Failure(Behaviour(status=401), 1),
    "402": Failure(Behaviour(status=402), 1),
    "403": Failure(Behaviour(status=403), 1),
    "408": Failure(Behaviour(status=408), 3),
    "429": Failure(Behaviour(status=429, retry_after="60"), 1),
    "429-in-a-minute": Failure(Behaviour(status=429, headers=(("retry-after-ms", "60000"),)), 1),
    "500": Failure(Behaviour(status=500), 3),
    "502-html": Failure(Behaviour(status=502, html=True), 3),
    "529": Failure(Behaviour(status=529), 3),
    "redirect": Failure(Behaviour(redirect="https://127.0.0.1:1/"), 3),
    "reset": Failure(Behaviour(fault=Fault.cut("status", how="reset")), 3),
    "closed": Failure(Behaviour(fault=Fault.cut("headers")), 3),
    "clean": Failure(Behaviour(fault=Fault.cut("headers", how="clean")), 3, plain=False),
    "early-error": Failure(Behaviour(fault=Fault.error("headers", status=500)), 3, plain=False),
    "early-429": Failure(Behaviour(fault=Fault.error("headers", status=429)), 1, plain=False),
    "html": Failure(Behaviour(content_type="text/html"), 3, plain=False),
}
REQUEST_FAULTS = [400, 404, 413, 422]


@pytest.fixture(scope="module")
def spare() -> Iterator[FakeProviders]:
    with FakeProviders(
        openai_key="spare-key-of-openai", anthropic_key="spare-key-of-anthropic"
    ) as fake:
        yield fake


@pytest.fixture(scope="module")
def fleet(
    fake_providers: FakeProviders, spare: FakeProviders, price_list: Any, django_db_blocker: Any
) -> Iterator[None]:
    base = fake_providers.openai_base_url
    with django_db_blocker.unblock(), put_back():
        add_provider("spare", spare.openai_base_url, {spare.openai_key: 1})
        add_provider(
            "spare-old", spare.openai_base_url, {spare.openai_key: 1},
            output_field="max_tokens", asks_usage=False,
        )  # fmt: skip
        add_provider(
            "spare-claude", spare.anthropic_base_url, {spare.anthropic_key: 1}, kind="anthropic"
        )
        for name in [*FAILURES, *map(str, REQUEST_FAULTS), "midway", "told", "stalls"]:
            provider = name if name not in map(str, REQUEST_FAULTS) else f"fault-{name}"
            add_provider(provider, base, {f"key-{provider}": 1})
            fallback = "spare-old" if name == "told" else "spare"
            add_model(f"m-{provider}", [(provider, ""), (fallback, "there")])
        add_provider("dead", f"http://127.0.0.1:{free_port()}/v1", {"dead-1": 1, "dead-2": 1})
        add_model("m-dead", [("dead", ""), ("spare", "")])
        add_provider(
            "claude", fake_providers.anthropic_base_url, {"key-claude": 1}, kind="anthropic"
        )
        add_model("m-claude", [("claude", ""), ("spare-claude", "claude-there")])
        add_provider("many", base, {f"many-{n}": 1 for n in range(5)})
        add_model("m-many", [("many", "")])
        add_provider("duo", base, {"duo-1": 1, "duo-2": 1})
        add_model("m-duo", [("duo", "")])
        add_provider("drains", base, {"key-drains": 1}, on_leaving="drain")
        add_model("m-drains", [("drains", "")])
        add_provider("lone", base, {"key-lone": 1})
        add_model("m-lone", [("lone", "")])
        yield


@pytest.fixture(scope="module")
def fallback_server(
    fleet: None, fake_providers: FakeProviders, database_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Farebox]:  # fmt: skip
    log = tmp_path_factory.mktemp("fallback") / "server.log"
    environment = server_environment(
        fake_providers, database_url, UPSTREAM_DRAIN_SECONDS="2", LOG_LEVEL="INFO"
    )
    with lasting(Farebox(environment, log)) as farebox:
        yield farebox


@pytest.fixture
def farebox(
    fallback_server: Farebox, fake: FakeProviders, spare: FakeProviders, clean_books: bool
) -> Iterator[Farebox]:
    spare.reset()
    start = fallback_server.log_size
    yield up_to_date(fallback_server)
    spare.wait_until(lambda: spare.open == 0)
    assert_all_settled(fake)
    log = fallback_server.log_text(start)
    assert_log_clean(log, fake)
    assert spare.openai_key not in log


def dialect(model: str, of: Dialect = OPENAI) -> Dialect:
    return replace(of, model=model)


def assert_answered(reply: Reply, asked: Dialect) -> None:
    assert reply.status == 200, reply.body
    assert reply.whole
    assert asked.text(reply) == "word " * 5


@pytest.mark.parametrize(
    ("name", "stream"),
    [(name, True) for name in FAILURES]
    + [(name, False) for name, f in FAILURES.items() if f.plain],
)
def test_what_one_provider_fails_at_the_next_one_answers(
    farebox: Farebox, fake: FakeProviders, spare: FakeProviders, rider: Rider, name: str,
    stream: bool,
) -> None:  # fmt: skip
    failure = FAILURES[name]
    fake.take_key(f"key-{name}", failure.does)
    asked = dialect(f"m-{name}")
    calls = 5
    began = time.monotonic()
    for _ in range(calls):
        assert_answered(asked.ask(farebox, rider.secret, stream=stream), asked)
    # On a slow machine the breaker may be open for long enough to try again.
    most = failure.asked + int((time.monotonic() - began) // SHORTEST)
    # The plain calls come after the streams, which have opened the breaker.
    least = failure.asked if stream else 0
    assert least <= fake.asked_with(f"key-{name}") <= most
    assert len(spare.requests) == calls
    assert {served.json["model"] for served in spare.requests} == {"there"}
    records = rider.calls()
    assert [call.provider for call in records] == ["spare"] * calls
    assert {(call.status, call.input_tokens, call.output_tokens) for call in records} == {
        (Call.Status.COMPLETED, 10, 5)
    }
    assert rider.spent == calls * (10 * IN + 5 * OUT), "billed once each"
    assert rider.month() == (calls, calls * 10, calls * 5, rider.spent)


def test_nobody_at_the_address_is_noticed_once(
    farebox: Farebox, spare: FakeProviders, rider: Rider
) -> None:
    start = farebox.log_size
    asked = dialect("m-dead")
    for _ in range(5):
        assert_answered(asked.ask(farebox, rider.secret, stream=True), asked)
    assert {served.json["model"] for served in spare.requests} == {"m-dead"}
    set_aside = farebox.log_text(start).count("provider set aside")
    assert set_aside == 1, "neither its other key nor a later call tried"


def test_in_the_other_protocol(
    farebox: Farebox, fake: FakeProviders, spare: FakeProviders, rider: Rider
) -> None:
    fake.take_key("key-claude", Behaviour(fault=Fault.error("headers", status=529)))
    asked = dialect("m-claude", ANTHROPIC)
    reply = asked.ask(farebox, rider.secret, stream=True)
    assert_answered(reply, asked)
    assert reply.body.count(b"event: message_start") == 1
    assert b"overloaded" not in reply.body
    assert [served.json["model"] for served in spare.requests] == ["claude-there"]
    assert rider.only_call().provider == "spare-claude"


@pytest.mark.parametrize("status", REQUEST_FAULTS)
def test_what_is_the_requests_fault_is_not_tried_elsewhere(
    farebox: Farebox, fake: FakeProviders, spare: FakeProviders, rider: Rider, status: int
) -> None:
    name = f"fault-{status}"
    fake.take_key(f"key-{name}", Behaviour(status=status))
    asked = dialect(f"m-{name}")
    for _ in range(4):
        asked.assert_refused(asked.ask(farebox, rider.secret), 400 if status == 422 else status)
    assert fake.asked_with(f"key-{name}") == 4, "and is held against nobody"
    assert spare.requests == []
    assert rider.spent == 0


def test_after_the_first_event_there_is_no_other(
    farebox: Farebox, fake: FakeProviders, spare: FakeProviders, rider: Rider
) -> None:
    fake.take_key("key-midway", Behaviour(events=9, delay=0.02, fault=Fault.cut(3)))
    asked = dialect("m-midway")
    reply = asked.ask(farebox, rider.secret, stream=True)
    assert not reply.whole
    assert asked.text(reply) == "word " * 3
    assert spare.requests == []
    call = rider.only_call()
    assert (call.status, call.provider) == (Call.Status.INTERRUPTED, "midway")
    assert rider.spent == call.spent > 0


def test_a_provider_that_takes_the_bound_by_another_name_gets_it_so(
    farebox: Farebox, fake: FakeProviders, spare: FakeProviders, rider: Rider
) -> None:
    fake.take_key("key-told", Behaviour(status=503))
    asked = dialect("m-told")
    asked.ask(farebox, rider.secret, stream=True, max_completion_tokens=77)
    first, second = fake.requests[0].json, spare.requests[0].json
    assert first["max_completion_tokens"] == 77
    assert first["stream_options"] == {"include_usage": True}
    assert second["max_tokens"] == 77
    assert not {"max_completion_tokens", "stream_options"} & second.keys()


def test_when_all_fail_the_last_error_is_told_within_bounds(
    farebox: Farebox, fake: FakeProviders, rider: Rider
) -> None:
    for number in range(5):
        fake.take_key(f"many-{number}", Behaviour(status=429, retry_after="50"))
    asked = dialect("m-many")
    asked.assert_refused(asked.ask(farebox, rider.secret, stream=True), 429)
    assert len(fake.requests) == 3, "UPSTREAM_ATTEMPTS"
    asked.assert_refused(asked.ask(farebox, rider.secret, stream=True), 429)
    assert len(fake.requests) == 5, "the two that were left"
    reply = asked.ask(farebox, rider.secret, stream=True)
    asked.assert_refused(reply, 429)
    assert len(fake.requests) == 6, "and then the one that is soonest free, once"
    assert 40 <= int(reply.headers["retry-after"]) <= 50
    assert rider.spent == 0
    assert {call.status for call in rider.calls()} == {Call.Status.FAILED}


def test_a_lone_key_is_never_refused_for_what_it_did_before(
    farebox: Farebox, fake: FakeProviders, rider: Rider
) -> None:
    asked = dialect("m-lone")
    for status in (429, 401, 500, 500, 500):
        fake.take_key("key-lone", Behaviour(status=status))
        assert asked.ask(farebox, rider.secret).status != 200
    fake.take_key("key-lone")
    assert_answered(asked.ask(farebox, rider.secret), asked)
    assert fake.asked_with("key-lone") == 6


def test_the_time_to_the_first_event_is_shared_by_all_attempts(
    farebox: Farebox, fake: FakeProviders, spare: FakeProviders, rider: Rider
) -> None:
    fake.take_key("key-stalls", Behaviour(status=500, plain_delay=1.5, first_delay=1.5))
    spare.script(Behaviour(first_delay=1.5))
    asked = dialect("m-stalls")
    began = time.monotonic()
    reply = asked.ask(farebox, rider.secret, stream=True)
    assert time.monotonic() - began < 6
    assert reply.status in {200, 504}
    fake.take_key("key-stalls", Behaviour(first_delay=30))
    began = time.monotonic()
    asked.assert_refused(asked.ask(farebox, rider.secret, stream=True), 504)
    assert time.monotonic() - began < 5, "UPSTREAM_FIRST_EVENT_SECONDS is 2 here"


def test_a_key_dies_under_load_and_comes_back(
    farebox: Farebox, fake: FakeProviders, rider: Rider
) -> None:
    """Show 6: nobody notices that it dies, and it serves again by itself."""
    fake.take_key("duo-1", Behaviour(events=3, delay=0.005))
    fake.take_key("duo-2", Behaviour(events=3, delay=0.005))
    asked = dialect("m-duo")
    statuses: list[tuple[int, bool]] = []
    stop = False

    async def caller(doors: asyncio.Semaphore) -> None:
        while not stop:
            seen = await ask(farebox.port, asking(asked, rider.secret), doors)
            statuses.append((seen.status, seen.whole and b"data: [DONE]\n\n" in seen.got))

    async def until(condition: Any, what: str) -> None:
        deadline = time.monotonic() + 20
        while not await asyncio.to_thread(condition):
            assert time.monotonic() < deadline, what
            await asyncio.sleep(0.02)

    async def main() -> tuple[int, int]:
        nonlocal stop
        doors = asyncio.Semaphore(20)
        tasks = [asyncio.create_task(caller(doors)) for _ in range(20)]
        try:
            await until(lambda: fake.asked_with("duo-1") >= 20, "both keys serve")
            fake.take_key("duo-1", Behaviour(status=500))
            fell = fake.asked_with("duo-1")
            served = len(statuses)
            await until(lambda: len(statuses) >= served + 200, "calls go on")
            while_dead = fake.asked_with("duo-1") - fell
            fake.take_key("duo-1", Behaviour(events=3, delay=0.005))
            healed = fake.asked_with("duo-1")
            await until(lambda: fake.asked_with("duo-1") >= healed + 20, "it serves again")
            return while_dead, len(statuses)
        finally:
            stop = True
            await asyncio.gather(*tasks)

    while_dead, total = run(main())
    print(f"{total} calls; the dead key was asked {while_dead} times")
    assert set(statuses) == {(200, True)}, "no failed call"
    # Those that were on their way to it when it died, three more, and a probe now and then.
    assert while_dead <= 20 + 3 + 10
    wait_for(lambda: len(rider.calls()) == len(statuses), 10, "all are booked")
    assert {call.status for call in rider.calls()} == {Call.Status.COMPLETED}
    answered = fake.bill()
    assert sum(call.output_tokens for call in rider.calls()) == answered.output


def test_a_change_in_the_admin_reaches_a_running_process(
    farebox: Farebox, fake: FakeProviders, rider: Rider
) -> None:
    with put_back():
        asked = dialect("m-new")
        asked.assert_refused(asked.ask(farebox, rider.secret), 404)
        add_provider("new", fake.openai_base_url, {})
        add_model("m-new", [("new", "")])
        provider = Provider.objects.get(name="new")
        fake.take_key("new-key-1")
        add_key(provider, "new-key-1")
        wait_for(lambda: asked.ask(farebox, rider.secret).status == 200, 12, "it can be called")
        provider.keys.update(enabled=False)
        wait_for(lambda: asked.ask(farebox, rider.secret).status == 404, 12, "no more")


LONG = Behaviour(events=20, delay=0.05, usage=Usage(input=123))


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
def test_a_provider_that_drains_is_read_to_the_end(
    farebox: Farebox, fake: FakeProviders, rider: Rider, stream: bool
) -> None:
    fake.take_key("key-drains", replace(LONG, plain_delay=0.5))
    with Wire(farebox) as wire:
        wire.ask(dialect("m-drains"), rider.secret, stream=stream)
        if stream:
            wire.read_until(b"word ")
        else:
            fake.wait_until(lambda: fake.open == 1)
    fake.wait_until(lambda: fake.requests and fake.requests[0].finished)
    call = rider.only_call()
    assert (call.status, call.estimated) == (Call.Status.CANCELED, False)
    assert (call.input_tokens, call.output_tokens) == (123, 20)
    assert rider.spent == 123 * IN + 20 * OUT


def test_a_drain_ends_at_its_bound(farebox: Farebox, fake: FakeProviders, rider: Rider) -> None:
    fake.take_key("key-drains", Behaviour(events=20, delay=0.01, fault=Fault.stall(10)))
    began = time.monotonic()
    with Wire(farebox) as wire:
        wire.ask(dialect("m-drains"), rider.secret, stream=True)
        wire.read_until(b"word ")
    fake.wait_until(lambda: fake.open == 0, 10)
    assert 1.5 < time.monotonic() - began < 6, "UPSTREAM_DRAIN_SECONDS is 2 here"
    call = rider.only_call()
    assert (call.status, call.estimated) == (Call.Status.CANCELED, True)
    assert rider.spent == call.spent > 0
