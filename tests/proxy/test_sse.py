"""Splitting streams: however the bytes are cut, none is changed and none is lost."""

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy import sse

LINE_ENDS = (b"\n", b"\r\n", b"\r")
# Text without line breaks, and lines as servers of events write them.
words = st.binary(max_size=20).map(lambda text: text.replace(b"\n", b"").replace(b"\r", b""))
lines = st.one_of(
    words.map(lambda text: b"data: " + text),
    words.map(lambda text: b"event:" + text),
    st.just(b": ping"),
    st.just(b'data: {"content":"\\n\\n"}'),
)


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """A stream with one kind of line end, and the events it is made of."""
    end = draw(st.sampled_from(LINE_ENDS))
    events = draw(st.lists(st.lists(lines, min_size=1, max_size=4), max_size=8))
    made = [b"".join(line + end for line in event) + end for event in events]
    return b"".join(made), made


@st.composite
def cuts(draw: st.DrawFn, data: bytes) -> list[bytes]:
    places = sorted(draw(st.sets(st.integers(0, len(data)), max_size=30)))
    edges = [0, *places, len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@given(st.data())
def test_only_whole_events_come_out_and_joined_they_are_what_went_in(data: st.DataObject) -> None:
    stream, events = data.draw(streams())
    splitter = sse.Splitter(10_000)
    whole_ends = {sum(map(len, events[:n])) for n in range(len(events) + 1)}
    out = b""
    for chunk in data.draw(cuts(stream)):
        out += splitter.feed(chunk)
        assert len(out) in whole_ends, "out came a part of an event"
        assert stream.startswith(out)
    assert out == stream
    assert splitter.held == 0


@given(st.binary(max_size=400), st.data())
def test_no_byte_is_changed_or_lost_whatever_comes(stream: bytes, data: st.DataObject) -> None:
    splitter = sse.Splitter(1_000)
    out = b"".join(splitter.feed(chunk) for chunk in data.draw(cuts(stream)))
    assert stream.startswith(out)
    assert splitter.held == len(stream) - len(out)


@given(streams())
def test_split_finds_each_event(made: tuple[bytes, list[bytes]]) -> None:
    stream, events = made
    assert sse.split(stream) == events


@given(st.binary(max_size=200))
def test_split_loses_nothing(stream: bytes) -> None:
    assert b"".join(sse.split(stream)) == stream


@pytest.mark.parametrize("end", LINE_ENDS, ids=repr)
def test_data_joins_its_lines(end: bytes) -> None:
    event = end.join(
        [b"event: x", b"data: one", b"data:two", b": no data: this", b"id: 7", b"", b""]
    )
    assert sse.data(event) == b"one\ntwo"


def test_an_event_past_the_limit_is_refused() -> None:
    splitter = sse.Splitter(100)
    assert splitter.feed(b"data: " + b"x" * 90) == b""
    with pytest.raises(sse.EventTooLarge):
        splitter.feed(b"x" * 10)


def test_whole_events_before_an_endless_one_are_handed_out_first() -> None:
    splitter = sse.Splitter(100)
    assert splitter.feed(b"data: good\n\ndata: " + b"x" * 500) == b"data: good\n\n"
    with pytest.raises(sse.EventTooLarge):
        splitter.feed(b"x")


def test_single_bytes_take_linear_time() -> None:
    """Four times the length takes about four times as long; a rescan would make it sixteen."""

    def seconds(size: int) -> float:
        splitter = sse.Splitter(size + 10)
        start = time.process_time()  # what other programs take does not count
        for _ in range(size):
            splitter.feed(b"x")
        return time.process_time() - start

    short, long = (min(seconds(size) for _ in range(5)) for size in (20_000, 80_000))
    assert long < short * 9
