"""However a provider's bytes are cut, compressed or ended: they arrive untouched, and counted."""

from dataclasses import replace

import pytest

from tests.fakes.providers import Behaviour, FakeProviders, Usage
from tests.proxy.dialects import ANTHROPIC, BOTH, OPENAI, Dialect
from tests.proxy.riders import Rider
from tests.proxy.server import Farebox
from usage.models import Call

pytestmark = pytest.mark.xdist_group("proxy-failures")
WORDS = ("Ünï", "cödé 🙂 ", 'a "quote" \\ ', "\u2028line", "data: [DONE]\n\n", "日本語")
USAGE = Usage(input=77, cached=5, output=19)

SHAPES = {
    "as usual": Behaviour(),
    "all in one write": Behaviour(events_per_write=0),
    "single bytes": Behaviour(split=1),
    "sevens": Behaviour(split=7),
    "random sizes": Behaviour(split="random", seed=11),
    "other random sizes": Behaviour(split="random", seed=12, split_pause=0.001),
    "inside characters": Behaviour(split="utf8"),
    "CRLF": Behaviour(line_end="\r\n"),
    "inside CRLF": Behaviour(line_end="\r\n", split="newline", split_pause=0.002),
    "CRLF in single bytes": Behaviour(line_end="\r\n", split=1),
    "CR": Behaviour(line_end="\r"),
    "gzip": Behaviour(gzip=True),
    "gzip in random sizes": Behaviour(gzip=True, split="random", seed=13),
    "gzip in single bytes": Behaviour(gzip=True, split=1),
    "many pings": Behaviour(ping_every=1),
    "charset": Behaviour(content_type="text/event-stream; charset=UTF-8"),
}


@pytest.mark.parametrize("dialect", BOTH, ids=str)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_stream_arrives_as_it_was_sent(
    farebox: Farebox, fake: FakeProviders, rider: Rider, dialect: Dialect, shape: Behaviour
) -> None:
    fake.script(_saying(shape))
    # With the usage asked for, nothing is hidden, so that every byte can be compared.
    more = {"stream_options": {"include_usage": True}} if dialect.name == "openai" else {}
    reply = dialect.ask(farebox, rider.secret, stream=True, **more)
    assert reply.whole
    assert reply.body == b"".join(frame.data for frame in fake.requests[0].plan.frames)
    assert "content-encoding" not in reply.headers
    assert dialect.text(reply) == "".join(WORDS)
    _assert_paid(rider)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_only_the_usage_event_is_hidden(
    farebox: Farebox, fake: FakeProviders, rider: Rider, shape: Behaviour
) -> None:
    fake.script(_saying(shape))
    reply = OPENAI.ask(farebox, rider.secret, stream=True)
    frames = [frame.data for frame in fake.requests[0].plan.frames]
    (hidden,) = [frame for frame in frames if b'"choices":[]' in frame]
    frames.remove(hidden)
    assert reply.body == b"".join(frames)
    _assert_paid(rider)


@pytest.mark.parametrize("dialect", BOTH, ids=str)
@pytest.mark.parametrize(
    "shape",
    [Behaviour(), Behaviour(gzip=True), Behaviour(split=1), Behaviour(gzip=True, split="random")],
    ids=["as usual", "gzip", "single bytes", "gzip in random sizes"],
)
def test_a_plain_answer_arrives_as_it_was_sent(
    farebox: Farebox, fake: FakeProviders, rider: Rider, dialect: Dialect, shape: Behaviour
) -> None:
    fake.script(_saying(shape))
    reply = dialect.ask(farebox, rider.secret)
    assert reply.body == fake.requests[0].plan.frames[0].data
    assert int(reply.headers["content-length"]) == len(reply.body)
    assert "content-encoding" not in reply.headers
    _assert_paid(rider)


def test_pings_before_any_word_are_no_end_and_no_error(
    farebox: Farebox, fake: FakeProviders, rider: Rider
) -> None:
    fake.script(Behaviour(events=50, ping_every=1, events_per_write=7, split=5))
    reply = ANTHROPIC.ask(farebox, rider.secret, stream=True)
    assert ANTHROPIC.text(reply) == "word " * 50
    assert reply.body.count(b"event: ping") >= 50


def _saying(shape: Behaviour) -> Behaviour:
    return replace(shape, events=len(WORDS), text=WORDS, usage=USAGE)


def _assert_paid(rider: Rider) -> None:
    call = rider.only_call()
    assert call.status == Call.Status.COMPLETED
    assert call.estimated is False
    assert (call.input_tokens, call.cached_tokens, call.output_tokens) == (82, 5, 19)
