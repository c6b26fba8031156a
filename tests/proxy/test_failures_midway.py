"""Failure table, second row: the provider breaks in mid-stream.

What was delivered is captured, once, and marked as an estimate unless the usage was known. The
client gets an error event in its protocol and a connection without an end, so that its SDK raises.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import anthropic
import openai
import pytest

from tests.fakes.providers import Behaviour, FakeProviders, Fault, Usage
from tests.proxy.by_hand import microcredits
from tests.proxy.dialects import ANTHROPIC, OPENAI, Dialect
from tests.proxy.outcomes import assert_keeps_secrets, assert_paid_for
from tests.proxy.riders import Rider
from tests.proxy.server import Farebox, wait_for
from usage.models import Call

pytestmark = [
    pytest.mark.xdist_group("proxy-failures"),
    pytest.mark.filterwarnings("ignore:The model:DeprecationWarning"),
]
# Estimates rest on what the server has learned of a model: these two are asked by no other file.
HERE = (replace(OPENAI, model="gpt-4.1-mini"), replace(ANTHROPIC, model="claude-opus-4-1"))
both = pytest.mark.parametrize("dialect", HERE, ids=str)
KEY_IN_WORDS = "The key {key} broke."
WORDS = tuple(f"word{n} " for n in range(8))


@dataclass(frozen=True)
class Break:
    """A way to break, and how many of the eight words have passed before it."""

    does: Behaviour
    words: int


def break_(fault: Fault, words: int, **more: Any) -> Break:
    usage = Usage(input=321, output=80)
    return Break(Behaviour(events=8, text=WORDS, usage=usage, fault=fault, **more), words)


BREAKS = {
    "reset": break_(Fault.cut(3, how="reset"), 3),
    "closed": break_(Fault.cut(3), 3),
    "a clean end without the mark": break_(Fault.cut(3, how="clean"), 3),
    "reset in mid-event": break_(Fault.cut(3, how="reset", mid_event=True), 3),
    "closed in mid-event": break_(Fault.cut(3, mid_event=True), 3),
    "a clean end in mid-event": break_(Fault.cut(3, how="clean", mid_event=True), 3),
    "closed before any word": break_(Fault.cut(0), 0),
    "an error event": break_(Fault.error(3, message=KEY_IN_WORDS), 3),
    "an error event, overloaded": break_(Fault.error(3, status=529, message=KEY_IN_WORDS), 3),
    "an error event in one write": break_(
        Fault.error(3, message=KEY_IN_WORDS), 3, events_per_write=0
    ),
    "an error event with CRLF": break_(Fault.error(3), 3, line_end="\r\n"),
    "an error event with CR": break_(Fault.error(3), 3, line_end="\r"),
    "an error event in single bytes": break_(Fault.error(3), 3, split=1),
    "an endless line": break_(Fault.flood(3, bound=2**20), 3),
    "a compressed stream cut": break_(Fault.cut(3), 3, gzip=True),
    "a compressed stream cut cleanly": break_(Fault.cut(3, how="clean"), 3, gzip=True),
    "a compressed stream reset": break_(Fault.cut(3, how="reset"), 3, gzip=True),
}


@both
@pytest.mark.parametrize("broken", BREAKS.values(), ids=BREAKS)
def test_a_break_is_told_and_what_passed_is_paid(
    farebox: Farebox, fake: FakeProviders, rider: Rider, dialect: Dialect, broken: Break
) -> None:
    fake.script(broken.does)
    reply = dialect.ask(farebox, rider.secret, stream=True)
    assert reply.status == 200
    assert not reply.whole, "a proper end would pass for success"
    assert dialect.text(reply) == "".join(WORDS[: broken.words])
    assert not dialect.ended(reply)
    assert dialect.last_words(reply)
    assert_keeps_secrets(reply, fake)

    call = assert_paid_for(rider, Call.Status.INTERRUPTED, estimated=True)
    assert reply.headers["x-farebox-call"] == str(call.id)
    assert call.error
    if dialect.name == "anthropic":
        assert call.input_tokens == 321, "message_start has told it"
    if broken.words:
        assert call.output_tokens >= broken.words
    assert call.spent <= call.held


@both
def test_a_huge_event_is_not_held_in_memory(
    farebox: Farebox, fake: FakeProviders, rider: Rider, dialect: Dialect
) -> None:
    # The server's bound is 64 KiB, on what it holds: so more than a slow machine's buffers on the
    # way can hand to it at once.
    text = ("short ", "x" * 2_000_000)
    fake.script(Behaviour(events=4, text=text))
    reply = dialect.ask(farebox, rider.secret, stream=True)
    assert dialect.text(reply) == "short "
    assert not reply.whole
    assert dialect.last_words(reply)
    assert_paid_for(rider, Call.Status.INTERRUPTED, estimated=True)


@both
@pytest.mark.parametrize("how", ["clean", "close", "reset"])
def test_a_break_after_the_usage_is_paid_exactly(
    farebox: Farebox, fake: FakeProviders, rider: Rider, dialect: Dialect, how: Any
) -> None:
    usage = Usage(input=1_000, output=77)
    fake.script(Behaviour(usage=usage, fault=Fault.cut("end", how=how)))
    reply = dialect.ask(farebox, rider.secret, stream=True)
    assert dialect.text(reply) == "word " * 5
    assert not reply.whole
    assert dialect.last_words(reply)
    call = assert_paid_for(rider, Call.Status.INTERRUPTED, estimated=False)
    assert call.spent == microcredits(dialect.model, input=1_000, output=77)


@both
@pytest.mark.parametrize(
    "fault",
    [Fault.cut("done"), Fault.cut("done", how="reset"), Fault.stall("done")],
    ids=["closed", "reset", "stalled"],
)
def test_what_breaks_after_the_end_mark_does_not_matter(
    farebox: Farebox, fake: FakeProviders, rider: Rider, dialect: Dialect, fault: Fault
) -> None:
    fake.script(Behaviour(usage=Usage(input=1_000, output=77), fault=fault))
    reply = dialect.ask(farebox, rider.secret, stream=True)
    assert reply.whole
    assert dialect.ended(reply)
    call = assert_paid_for(rider, Call.Status.COMPLETED, estimated=False)
    assert call.spent == microcredits(dialect.model, input=1_000, output=77)


@both
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
def test_an_answer_without_usage_is_whole_and_estimated(
    farebox: Farebox, fake: FakeProviders, rider: Rider, dialect: Dialect, stream: bool
) -> None:
    fake.script(Behaviour(events=20, report_usage=False))
    reply = dialect.ask(farebox, rider.secret, stream=stream)
    assert reply.whole
    assert dialect.text(reply) == "word " * 20
    call = assert_paid_for(rider, Call.Status.COMPLETED, estimated=True)
    assert 5 <= call.output_tokens <= 100  # a hundred bytes


BREAKS_FOR_SDKS = {
    name: BREAKS[name]
    for name in ("closed", "a clean end without the mark", "an error event", "an endless line")
}


@pytest.mark.parametrize("broken", BREAKS_FOR_SDKS.values(), ids=BREAKS_FOR_SDKS)
@pytest.mark.parametrize("which", ["openai", "anthropic"])
def test_the_sdks_raise(
    farebox: Farebox, fake: FakeProviders, rider: Rider, broken: Break, which: str
) -> None:
    fake.script(broken.does)
    heard: list[str] = []
    stream = _openai_words if which == "openai" else _anthropic_words
    with pytest.raises((openai.APIError, anthropic.APIError)):
        stream(farebox, rider, heard.append)
    assert "".join(heard) == "".join(WORDS[: broken.words])
    assert len(fake.requests) == 1, "a stream that has begun is not asked for again"
    assert_paid_for(rider, Call.Status.INTERRUPTED, estimated=True)


def _openai_words(farebox: Farebox, rider: Rider, hear: Callable[[str], Any]) -> None:
    with openai.OpenAI(base_url=f"{farebox.url}/v1", api_key=rider.secret) as sdk:
        for chunk in sdk.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": "Hello"}], stream=True
        ):
            hear(chunk.choices[0].delta.content or "")


def _anthropic_words(farebox: Farebox, rider: Rider, hear: Callable[[str], Any]) -> None:
    with (
        anthropic.Anthropic(base_url=farebox.url, api_key=rider.secret) as sdk,
        sdk.messages.stream(
            model="claude-sonnet-4-5",
            max_tokens=100,
            messages=[{"role": "user", "content": "Hello"}],
        ) as stream,
    ):
        for text in stream.text_stream:
            hear(text)


def test_the_receipt_is_there_before_the_end_mark(
    farebox: Farebox, fake: FakeProviders, rider: Rider
) -> None:
    """Who has seen the end finds the call booked, without waiting: asked again and again."""
    for number in range(1, 21):
        reply = OPENAI.ask(farebox, rider.secret, stream=True)
        assert OPENAI.ended(reply)
        assert len(rider.calls()) == number
        assert rider.held == 0


def test_a_booking_that_must_wait_holds_the_end_mark_for_a_second_at_most(
    farebox: Farebox,
    fake: FakeProviders,
    rider: Rider,
    connect: Callable[..., Any],
) -> None:
    fake.script(Behaviour(events=3, delay=0.2, usage=Usage(input=100, output=3)))
    locker = connect(autocommit=False)

    def lock_the_wallet() -> None:
        locker.execute("SELECT FROM ledger_account WHERE id = %s FOR UPDATE", [rider.wallet])

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(OPENAI.ask, farebox, rider.secret, stream=True)
        wait_for(lambda: fake.open == 1)
        lock_the_wallet()
        reply = answer.result(20)
        assert OPENAI.ended(reply)
        assert reply.whole
        assert (rider.calls(), rider.open_holds()) == ([], 1)
        locker.rollback()
    call = assert_paid_for(rider, Call.Status.COMPLETED, estimated=False)
    assert call.spent == microcredits("gpt-4o-mini", input=100, output=3)
