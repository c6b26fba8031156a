"""Failure table: the client leaves. Upstream is closed, what passed is captured and estimated."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.fakes.providers import Behaviour, FakeProviders, Fault, Usage
from tests.proxy.by_hand import microcredits
from tests.proxy.dialects import ANTHROPIC, BOTH, OPENAI, Dialect
from tests.proxy.outcomes import assert_paid_for, assert_released
from tests.proxy.riders import Rider
from tests.proxy.server import Farebox, wait_for
from tests.proxy.wire import Wire, request
from usage.models import Call

pytestmark = pytest.mark.xdist_group("proxy-slow")
both = pytest.mark.parametrize("dialect", BOTH, ids=str)
WAYS: dict[str, Callable[[Wire], None]] = {
    "FIN": lambda wire: wire.socket.close(),
    "RST": lambda wire: wire.reset(),
    "half close": lambda wire: wire.half_close(),
}
leaving = pytest.mark.parametrize("leave", WAYS.values(), ids=WAYS)
# Twenty words a tenth of a second apart: whoever leaves in between leaves in the middle.
LONG = Behaviour(events=20, delay=0.1, text=tuple(f"w{n:02} " for n in range(20)))


def assert_upstream_left(fake: FakeProviders) -> None:
    fake.wait_until(lambda: fake.requests and fake.open == 0)
    assert fake.requests[0].client_closed_early


@both
@leaving
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
def test_before_any_word(
    farebox: Farebox,
    fake: FakeProviders,
    rider: Rider,
    dialect: Dialect,
    leave: Callable[[Wire], None],
    stream: bool,
) -> None:
    fake.script(Behaviour(first_delay=1.9, plain_delay=2.9))
    with Wire(farebox) as wire:
        wire.ask(dialect, rider.secret, stream=stream)
        fake.wait_until(lambda: fake.open == 1)
        leave(wire)
        assert_upstream_left(fake)
    # The provider was asked and may charge: what it read is owed, and nothing that it said.
    call = assert_paid_for(rider, Call.Status.CANCELED, estimated=True)
    assert call.output_tokens == 0
    assert call.first_event_ms is None


# Estimates rest on what the server has learned of a model; these two complete in no other test.
UNKNOWN = (replace(OPENAI, model="gpt-4.1"), replace(ANTHROPIC, model="claude-opus-4-5"))


@pytest.mark.parametrize("dialect", UNKNOWN, ids=str)
@leaving
@pytest.mark.parametrize("words", [1, 5, 10])
def test_in_the_middle(
    farebox: Farebox,
    fake: FakeProviders,
    rider: Rider,
    dialect: Dialect,
    leave: Callable[[Wire], None],
    words: int,
) -> None:
    fake.script(LONG)
    with Wire(farebox) as wire:
        wire.ask(dialect, rider.secret, stream=True)
        wire.read_until(f"w{words - 1:02} ".encode())
        leave(wire)
        assert_upstream_left(fake)
    call = assert_paid_for(rider, Call.Status.CANCELED, estimated=True)
    served = fake.requests[0]
    assert served.events_sent < 20
    # Four bytes are a token until more is known of a model; what passed after the client's last
    # look, but before its leaving was noticed, counts as well.
    assert words <= call.output_tokens <= served.events_sent + 1
    if dialect.name == "anthropic":
        assert call.input_tokens == served.input_tokens


@both
@leaving
def test_at_the_last_word(
    farebox: Farebox,
    fake: FakeProviders,
    rider: Rider,
    dialect: Dialect,
    leave: Callable[[Wire], None],
) -> None:
    """All is there but the end mark, the usage included: exactly that is paid."""
    fake.script(Behaviour(usage=Usage(input=600, output=70), fault=Fault.stall("end")))
    with Wire(farebox) as wire:
        wire.ask(dialect, rider.secret, stream=True)
        wire.read_until(b'"finish_reason":"stop"' if dialect is OPENAI else b"message_delta")
        leave(wire)
        assert_upstream_left(fake)
    call = assert_paid_for(rider, Call.Status.CANCELED, estimated=False)
    assert call.spent == microcredits(dialect.model, input=600, output=70)


@both
def test_at_the_very_moment_of_the_end(
    farebox: Farebox, fake: FakeProviders, rider: Rider, dialect: Dialect
) -> None:
    """Leaving races the finish: forty calls, each ends once, and each is paid once."""
    fake.script(Behaviour(usage=Usage(input=600, output=5), tokens_per_event=1))
    for _ in range(40):
        with Wire(farebox) as wire:
            wire.ask(dialect, rider.secret, stream=True)
            wire.read_until(b"word ")
    wait_for(lambda: len(rider.calls()) == 40)
    assert rider.open_holds() == 0
    calls = rider.calls()
    assert {call.status for call in calls} <= {Call.Status.COMPLETED, Call.Status.CANCELED}
    assert rider.spent == sum(call.spent for call in calls)
    assert len(rider.captures()) == 40
    assert rider.month()[0] == 40


def test_while_the_request_is_still_on_its_way(
    farebox: Farebox, fake: FakeProviders, rider: Rider
) -> None:
    data = request(OPENAI, rider.secret, b'{"model": "gpt-4o-mini", ' + b" " * 1000)
    with Wire(farebox) as wire:
        wire.send(data[:-500])
    with Wire(farebox) as wire:
        wire.send(data[:-500])
        wire.reset()
    assert OPENAI.ask(farebox, rider.secret).status == 200  # the server is well
    rider.only_call()
    assert len(fake.requests) == 1


@both
def test_a_failure_that_nobody_waits_for_costs_nothing(
    farebox: Farebox, fake: FakeProviders, rider: Rider, dialect: Dialect
) -> None:
    fake.script(Behaviour(status=500))
    with Wire(farebox) as wire:
        wire.ask(dialect, rider.secret, stream=True)
        fake.wait_until(lambda: fake.requests)
    wait_for(lambda: rider.calls())
    if rider.calls()[0].status == Call.Status.FAILED:
        assert_released(rider)
    else:  # it had left before the provider answered: what was asked may be charged
        assert_paid_for(rider, Call.Status.CANCELED, estimated=True)


def test_an_answer_of_a_wrong_type_is_dropped_too(
    farebox: Farebox, fake: FakeProviders, rider: Rider
) -> None:
    """It is read for a second, for what it cost; who leaves meanwhile leaves nothing open."""
    fake.script(Behaviour(content_type="text/plain", fault=Fault.stall(1)))
    with Wire(farebox) as wire:
        wire.ask(OPENAI, rider.secret, stream=True)
        fake.wait_until(lambda: fake.requests and fake.requests[0].events_sent)
        wire.reset()
    assert_upstream_left(fake)
    assert_paid_for(rider, Call.Status.CANCELED, estimated=True)


def test_a_second_request_behind_the_first_does_not_hide_the_leaving(
    farebox: Farebox, fake: FakeProviders, rider: Rider
) -> None:
    """Pipelined, the second waits its turn, and uvicorn reads on only then: the first call may
    run to its end, but it is paid, and neither stays open."""
    fake.script(Behaviour(events=10, delay=0.05))
    with Wire(farebox) as wire:
        wire.ask(OPENAI, rider.secret, stream=True)
        wire.ask(OPENAI, rider.secret, stream=True)
        wire.read_until(b"word ")
    wait_for(lambda: rider.calls() and not rider.open_holds() and fake.open == 0)
    assert all(call.spent > 0 for call in rider.calls())
