"""Failure table: the provider says nothing for too long, at each stage of its answer.

All stages stall at the same time, each for a caller and a model of its own: the server's limits
are seconds, and nobody waits for them twice.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import anthropic
import openai
import pytest

from tests.fakes.providers import Behaviour, FakeProviders, Fault
from tests.proxy.dialects import ANTHROPIC, BOTH, OPENAI, Dialect, Reply
from tests.proxy.outcomes import assert_keeps_secrets, assert_paid_for, assert_released
from tests.proxy.riders import Rider, make_rider
from tests.proxy.server import Farebox
from usage.models import Call

pytestmark = pytest.mark.xdist_group("proxy-slow")


@dataclass(frozen=True)
class Stall:
    """Where an answer stalls. ``words`` passed before it; ``None``: not even a first event."""

    name: str
    dialect: Dialect
    fault: Fault
    stream: bool = True
    words: int | None = None


STALLS = [
    *(Stall("before the status", d, Fault.stall("status")) for d in BOTH),
    *(Stall("after the headers", d, Fault.stall("headers")) for d in BOTH),
    *(Stall("in the first event", d, Fault.stall("headers", mid_event=True)) for d in BOTH),
    *(Stall("plain, before the status", d, Fault.stall("status"), False) for d in BOTH),
    *(Stall("plain, in the body", d, Fault.stall("headers", mid_event=True), False) for d in BOTH),
    *(Stall("between events", d, Fault.stall(2), words=2) for d in BOTH),
    *(Stall("in mid-event", d, Fault.stall(2, mid_event=True), words=2) for d in BOTH),
    *(Stall("before the end mark", d, Fault.stall("end"), words=5) for d in BOTH),
    # Comments are no events; but Anthropic's pings are, so its call lasts as long as one may.
    Stall("comments only", OPENAI, Fault.stall("headers", ping=0.3)),
    Stall("pings for ever", ANTHROPIC, Fault.stall(2, ping=0.3), words=2),
    Stall("comments for ever", OPENAI, Fault.stall(2, ping=0.3), words=2),
]


# Names that the fake can tell apart. The first ones have prices known by hand.
MODELS = {
    "openai": (
        "gpt-4o-mini", "gpt-4o-mini-2024-07-18", "gpt-4o", "gpt-4o-2024-08-06", "gpt-4.1",
        "gpt-4.1-mini", "gpt-4.1-nano", "o3-mini", "o4-mini", "gpt-5", "gpt-5-mini", "gpt-5-nano",
    ),
    "anthropic": tuple(f"claude-sonnet-4-5-2025{n:04}" for n in range(901, 921)),
}  # fmt: skip


def test_no_stall_outlasts_its_limit(
    farebox: Farebox, fake: FakeProviders, clean_books: bool
) -> None:
    names = {dialect: iter(MODELS[dialect.name]) for dialect in BOTH}
    asked = []
    for number, stall in enumerate(sorted(STALLS, key=lambda stall: stall.words is None)):
        dialect = replace(stall.dialect, model=next(names[stall.dialect]))
        fake.script(Behaviour(fault=stall.fault), model=dialect.model)
        asked.append((stall, dialect, make_rider(f"rider{number}@example.com")))

    with ThreadPoolExecutor(len(asked)) as pool:
        answers = [
            pool.submit(dialect.ask, farebox, rider.secret, stream=stall.stream)
            for stall, dialect, rider in asked
        ]
    for (stall, dialect, rider), answer in zip(asked, answers, strict=True):
        reply: Reply = answer.result()
        assert_keeps_secrets(reply, fake)
        if stall.words is None:
            assert "too long" in dialect.assert_refused(reply, 504), stall.name
            assert reply.headers["x-should-retry"] == "false", stall.name
            assert_released(rider)
        else:
            assert reply.status == 200, stall.name
            assert not reply.whole, stall.name
            assert dialect.text(reply) == "word " * stall.words, stall.name
            assert "too long" in dialect.last_words(reply)["message"]
            exact = stall.name == "before the end mark"
            assert_paid_for(rider, Call.Status.INTERRUPTED, estimated=not exact)
    assert all(served.client_closed_early for served in fake.requests)
    assert len(fake.requests) == len(STALLS)


def test_a_slow_first_byte_is_waited_for(
    farebox: Farebox, fake: FakeProviders, rider: Rider
) -> None:
    fake.script(Behaviour(first_delay=1.2))
    reply = OPENAI.ask(farebox, rider.secret, stream=True)
    assert OPENAI.ended(reply)
    call = assert_paid_for(rider, Call.Status.COMPLETED, estimated=False)
    assert call.first_event_ms is not None
    assert 1_200 <= call.first_event_ms < 2_000


HELLO: Any = [{"role": "user", "content": "Hello"}]


def test_the_openai_sdk_does_not_retry_a_stall(
    farebox: Farebox, fake: FakeProviders, rider: Rider
) -> None:
    fake.script(Behaviour(fault=Fault.stall("status")))
    with openai.OpenAI(base_url=f"{farebox.url}/v1", api_key=rider.secret) as sdk:
        ask = partial(sdk.chat.completions.create, model="gpt-4o-mini", messages=HELLO, stream=True)
        with pytest.raises(openai.InternalServerError, match="504"):
            ask()
    assert len(fake.requests) == 1
    assert_released(rider)


def test_the_anthropic_sdk_does_not_retry_a_stall(
    farebox: Farebox, fake: FakeProviders, rider: Rider
) -> None:
    fake.script(Behaviour(fault=Fault.stall("status")))
    with anthropic.Anthropic(base_url=farebox.url, api_key=rider.secret) as sdk:
        ask = partial(sdk.messages.create, model="claude-haiku-4-5", max_tokens=9, messages=HELLO)
        with pytest.raises(anthropic.InternalServerError) as raised:
            ask(stream=True)
    assert raised.value.status_code == 504
    assert len(fake.requests) == 1
    assert_released(rider)
