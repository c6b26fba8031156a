"""How far an estimate is from the truth, once a model has been learned from completed calls.

The truth is a published tokenizer's: ``said.json`` holds answers in fourteen languages, code,
tables, JSON and the arguments of tools, each in the pieces that OpenAI's ``o200k_base`` makes of it
(a piece of several tokens, where one ends within a character, as ``[text, tokens]``).
"""

import asyncio
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
import pytest

from proxy.meter import ChatMeter, MessagesMeter, Meter
from proxy.ratios import Ratios
from tests.fakes.providers import Behaviour, FakeProviders, Fault, Usage
from tests.proxy.dialects import ANTHROPIC, OPENAI, Dialect
from tests.proxy.riders import Rider
from tests.proxy.server import Farebox, wait_for

pytestmark = pytest.mark.xdist_group("proxy-failures")
# Eleven bytes an event and two tokens each: 5.5 bytes a token, where four are the first guess.
WORDS = tuple(f"syllables{n % 10} " for n in range(10))


# Models that no other test completes a call of: what is learned outlives a test.
UNKNOWN = (replace(OPENAI, model="gpt-4.1-nano"), replace(ANTHROPIC, model="claude-3-haiku"))


@pytest.mark.parametrize("dialect", UNKNOWN, ids=str)
def test_streams_cut_half_way_are_estimated_within_a_twentieth(
    farebox: Farebox, fake: FakeProviders, rider: Rider, dialect: Dialect
) -> None:
    said = Behaviour(
        events=400, text=WORDS, tokens_per_event=2, events_per_write=40, usage=Usage(input=2_500)
    )
    question = "word " * 2_000
    fake.script(said)
    for _ in range(8):
        assert dialect.ask(farebox, rider.secret, words=question, stream=True).whole
    fake.script(replace(said, fault=Fault.cut(200)))
    assert not dialect.ask(farebox, rider.secret, words=question, stream=True).whole
    wait_for(lambda: len(rider.calls()) == 9)
    call = rider.calls()[-1]
    served = fake.requests[-1]
    assert call.estimated
    assert served.output_tokens >= 400
    assert call.output_tokens == pytest.approx(served.output_tokens, rel=0.05)
    assert call.input_tokens == pytest.approx(served.input_tokens, rel=0.1)


Pieces = list[tuple[str, int]]
SAID: dict[str, Pieces] = {
    name: [(piece, 1) if isinstance(piece, str) else tuple(piece) for piece in pieces]
    for name, pieces in json.loads((Path(__file__).parent / "said.json").read_bytes()).items()
}
# How many tokens come in one event: OpenAI's and Anthropic's published streams show one; some
# providers gather a few, or as many as there are in a moment.
PACES = {"one": (1, 1), "few": (1, 4), "many": (6, 26)}


def chat_event(text: str) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": None}
    return b"data: " + _json({"id": "chatcmpl-1", "choices": [choice]}) + b"\n\n"


def messages_event(text: str) -> bytes:
    delta = {"type": "text_delta", "text": text}
    told = {"type": "content_block_delta", "index": 0, "delta": delta}
    return b"event: content_block_delta\ndata: " + _json(told) + b"\n\n"


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


PROTOCOLS = {"chat": (ChatMeter, chat_event), "messages": (MessagesMeter, messages_event)}


class Stream:
    """A text as a provider sends it, and what the meter knew after each event."""

    def __init__(self, pieces: Pieces, pace: str, protocol: str, chance: random.Random) -> None:
        make, event = PROTOCOLS[protocol]
        meter: Meter = make()
        self.seen: list[tuple[int, int, int]] = []  # bytes, events, true tokens
        true = 0
        for group in _grouped(pieces, *PACES[pace], chance):
            meter.feed(event("".join(text for text, _ in group)))
            true += sum(tokens for _, tokens in group)
            self.seen.append((meter.text_bytes, meter.text_events, true))


def _grouped(
    pieces: Pieces, least: int, most: int, chance: random.Random
) -> Iterator[Sequence[tuple[str, int]]]:
    at = 0
    while at < len(pieces):
        size = chance.randint(least, most)
        yield pieces[at : at + size]
        at += size


def errors(pace: str, protocol: str) -> list[float]:
    """Of answers of two texts each, cut at random points, by a model that has said all the other
    texts many times, and never these."""
    chance = random.Random(20_261_121)
    streams = {name: Stream(pieces, pace, protocol, chance) for name, pieces in SAID.items()}
    found = []
    for pair in pairwise(SAID):
        ratios = Ratios()
        for other in SAID.keys() - pair:
            size, events, true = streams[other].seen[-1]
            for _ in range(6):
                ratios.learn("m", 1, 1, size, true, events)
        stream = Stream([piece for name in pair for piece in SAID[name]], pace, protocol, chance)
        for _ in range(10):
            size, events, true = chance.choice(stream.seen[len(stream.seen) // 8 :])
            found.append(abs(ratios.output_tokens("m", size, events) - true) / true)
    return found


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_median_error_is_under_five_percent(protocol: str) -> None:
    """Where a provider gathers very many tokens in an event, bytes are all there is to go by."""
    found = {pace: errors(pace, protocol) for pace in PACES}
    medians = {pace: median(these) for pace, these in found.items()}
    print(protocol, {pace: f"{100 * value:.1f} %" for pace, value in medians.items()})
    assert median([error for these in found.values() for error in these]) < 0.05
    assert medians["one"] < 0.02
    assert medians["few"] < 0.05
    assert medians["many"] < 0.15


def test_bytes_alone_would_not_do() -> None:
    """The control: the same texts, with nothing known of events."""
    found = []
    for name, pieces in SAID.items():
        ratios = Ratios()
        for other in SAID:
            if other != name:
                ratios.learn("m", 1, 1, _size(SAID[other]), _tokens(SAID[other]))
        true = _tokens(pieces)
        found.append(abs(ratios.output_tokens("m", _size(pieces)) - true) / true)
    assert median(found) > 0.05


def _size(pieces: Pieces) -> int:
    return sum(len(json.dumps(text, ensure_ascii=False).encode()) - 2 for text, _ in pieces)


def _tokens(pieces: Pieces) -> int:
    return sum(tokens for _, tokens in pieces)


def test_until_a_model_is_known_four_bytes_are_a_token() -> None:
    ratios = Ratios()
    assert ratios.output_tokens("new", 4_000) == 1_000
    assert ratios.output_tokens("new", 4_000, 50) == 1_000
    assert ratios.output_tokens("new", 1) == 1, "rounded up"
    assert ratios.output_tokens("new", 0) == 0


def test_what_is_learned_outweighs_the_first_guess() -> None:
    ratios = Ratios()
    for _ in range(100):
        ratios.learn("m", 2_000, 1_000, 3_000, 1_000)  # two and three bytes a token
    assert ratios.input_tokens("m", 20_000) == pytest.approx(10_000, rel=0.02)
    assert ratios.output_tokens("m", 30_000) == pytest.approx(10_000, rel=0.02)
    assert ratios.output_tokens("other", 4_000) == 1_000


def test_a_provider_that_changes_its_pace_is_not_believed_beyond_a_factor_of_two() -> None:
    """Learned at a token an event, and then a hundred tokens come in each, or a byte."""
    ratios = Ratios()
    for size in range(1_000, 5_000, 20):
        ratios.learn("m", 1, 1, size, 250, 250)  # whatever the bytes, a token an event
    assert ratios.output_tokens("m", 4_000, 250) == pytest.approx(250, rel=0.1)
    by_bytes = ratios.output_tokens("m", 4_000)
    assert 1.9 * by_bytes < ratios.output_tokens("m", 4_000, 4_000) <= 2 * by_bytes
    assert 0.5 * by_bytes <= ratios.output_tokens("m", 4_000, 1) < 0.6 * by_bytes


async def _exchange(dsn: str, *all_ratios: Ratios) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
        for ratios in all_ratios:
            await ratios.exchange(conn)


def test_what_is_learned_outlives_the_process_and_is_shared(clean_books: bool, dsn: str) -> None:
    one, two, later = Ratios(), Ratios(), Ratios()
    one.learn("kept", 2_000, 1_000, 3_000, 1_000, 500)
    two.learn("kept", 2_000, 1_000, 6_000, 1_000, 250)
    asyncio.run(_exchange(dsn, one, two, one, later))
    expected = two.output_tokens("kept", 9_000, 700)
    assert expected != Ratios().output_tokens("kept", 9_000, 700)
    for ratios in (one, later):
        assert ratios.output_tokens("kept", 9_000, 700) == expected
        assert ratios.input_tokens("kept", 9_000) == two.input_tokens("kept", 9_000)


def test_what_could_not_be_saved_is_not_forgotten(clean_books: bool, dsn: str) -> None:
    ratios, later = Ratios(), Ratios()
    ratios.learn("kept", 2_000, 1_000, 3_000, 1_000, 500)
    before = ratios.output_tokens("kept", 9_000, 700)

    async def interrupted() -> None:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
            await conn.execute("SET default_transaction_read_only = on")
            with pytest.raises(psycopg.Error):
                await ratios.exchange(conn)

    asyncio.run(interrupted())
    assert ratios.output_tokens("kept", 9_000, 700) == before
    asyncio.run(_exchange(dsn, ratios, later))
    assert later.output_tokens("kept", 9_000, 700) == before
