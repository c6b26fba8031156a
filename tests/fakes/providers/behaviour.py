"""How a fake provider answers: what it says, how fast, in what bytes, and how it breaks.

A `Behaviour` is immutable and describes one answer of either protocol. Times are seconds, sizes
are bytes, and tokens are counted in disjoint buckets (see `Usage`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

Point = int | Literal["status", "headers", "end", "done"]
Ending = Literal["clean", "close", "reset"]
Split = int | tuple[int, ...] | Literal["random", "utf8", "newline"]


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens in disjoint buckets, whatever the protocol adds together on the wire.

    `input` leaves out the cached ones and those of sound, `audio`; `reasoning` is a part of
    `output`. `output=None` means
    that it follows from what is said: `Behaviour.tokens_per_event` for each content event, plus
    `reasoning`.
    """

    input: int = 10
    cached: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int | None = None
    reasoning: int = 0
    audio: int = 0

    @property
    def cache_write(self) -> int:
        return self.cache_write_5m + self.cache_write_1h

    @property
    def all_input(self) -> int:
        return self.input + self.cached + self.cache_write + self.audio


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """A call of one tool, streamed as `parts` pieces of its JSON arguments.

    With `name=None` it calls the first tool that the request offers.
    """

    name: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=lambda: {"city": "Zürich"}, hash=False)
    parts: int = 3


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that goes wrong at one point of the answer. Make it with the class methods.

    The point `at` is "status" (before the status line), "headers" (after them, before any
    event), a number n (once n content events were sent; 0 is after the opening events), "end"
    (all but the end mark, `[DONE]` or `message_stop`, was sent) or "done" (the end mark too, but
    not the end of the HTTP body). With `mid_event` half of the next event goes out first. A plain
    answer is one event: every point between "headers" and "end" is before its body.
    """

    at: Point
    does: Literal["cut", "stall", "error", "flood"]
    how: Ending = "close"
    mid_event: bool = False
    ping: float = 0.0
    status: int = 500
    message: str | None = None
    rate: int = 0
    bound: int = 0

    @classmethod
    def cut(cls, at: Point, *, how: Ending = "close", mid_event: bool = False) -> Fault:
        """End early. "clean" ends the HTTP body properly, "close" does not, "reset" sends RST."""
        return cls(at=at, does="cut", how=how, mid_event=mid_event)

    @classmethod
    def stall(cls, at: Point, *, mid_event: bool = False, ping: float = 0.0) -> Fault:
        """Say nothing more until the client leaves, but for a ping every `ping` seconds if set.

        At "done" it is a chunked body that never ends.
        """
        return cls(at=at, does="stall", mid_event=mid_event, ping=ping)

    @classmethod
    def error(cls, at: Point, *, status: int = 500, message: str | None = None) -> Fault:
        """Send the protocol's error event, of the type that `status` would have, and end cleanly.

        At "headers" it is the first event of a stream that began with 200. A plain answer has
        no events: it becomes the error answer.
        """
        return cls(at=at, does="error", status=status, message=message)

    @classmethod
    def flood(cls, at: Point = 0, *, bound: int, rate: int = 0) -> Fault:
        """Write one line without an end: `bound` bytes, `rate` a second (0: at once), then cut."""
        return cls(at=at, does="flood", bound=bound, rate=rate)


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """One answer. The default says five words at once, reports usage, and breaks nothing.

    What is said:
        events: content events of text. tools: calls made after the text, if the request offers
        tools at all. text: of one event; a tuple is gone through in turn. thinking: events of
        thinking before the text (hidden reasoning in OpenAI's protocol, which never shows it).
        ping_every: a ping after so many content events.
    Pace:
        first_delay: before the status of a stream. delay: before each write of content.
        plain_delay: before the status of a plain answer.
    Usage:
        usage, tokens_per_event, and report_usage=False to leave usage out of the answer (it is
        billed all the same). charges_asked: the whole answer is billed once it is asked for,
        whoever leaves, as by a provider that ends what it has begun.
    Bytes:
        gzip: compress, flushed at each write, asked for or not. line_end: of the SSE lines.
        events_per_write: content events in one write; 0 puts them all in one. split: cut the body
        into writes of this size, of these sizes in turn, of random sizes ("random", by `seed`),
        inside every multi-byte character ("utf8"), or inside every line end pair ("newline");
        split_pause: between such pieces. missing_bytes: declare a Content-Length longer by so
        many, then close. content_type and headers: instead of, and beside, the usual ones.
    Failure:
        status: answer this error, in the protocol's shape, with `message` ("{key}" becomes the
        key) and `retry_after`; html: as a proxy's HTML page; redirect: the Location, with status
        307 unless told otherwise. fault: see `Fault`.
    """

    events: int = 5
    text: str | tuple[str, ...] = "word "
    thinking: int = 0
    tools: tuple[ToolCall, ...] = ()
    ping_every: int = 0

    first_delay: float = 0.0
    delay: float = 0.0
    plain_delay: float = 0.0

    usage: Usage = Usage()
    tokens_per_event: int = 1
    report_usage: bool = True
    charges_asked: bool = False

    gzip: bool = False
    line_end: Literal["\n", "\r\n", "\r"] = "\n"
    events_per_write: int = 1
    split: Split | None = None
    split_pause: float = 0.0
    seed: int = 0
    missing_bytes: int = 0
    content_type: str | None = None
    headers: tuple[tuple[str, str], ...] = ()

    status: int = 200
    message: str | None = None
    retry_after: str | None = None
    html: bool = False
    redirect: str | None = None
    fault: Fault | None = None

    def __post_init__(self) -> None:
        if self.missing_bytes and self.gzip:
            raise ValueError("missing_bytes needs a length known in advance, so no gzip")
        sizes = (self.split,) if isinstance(self.split, int) else self.split
        if isinstance(sizes, tuple) and (not sizes or min(sizes) < 1):
            raise ValueError("split sizes are at least 1")

    @cached_property
    def is_smooth(self) -> bool:
        """Whether whole events go out unaltered, one write each, and nothing breaks."""
        return not (self.gzip or self.split or self.missing_bytes or self.fault)

    def text_at(self, number: int) -> str:
        """The text of the content event with this number, from 0."""
        return self.text if isinstance(self.text, str) else self.text[number % len(self.text)]

    def told(self, words: str) -> Behaviour:
        """This behaviour, altered by in-band control such as "events=20 delay_ms=5 size=8".

        Names: events, delay_ms, first_ms, plain_ms (the delay of a plain answer), size (bytes of
        text an event), tokens (an event), input, cached, output, thinking, per_write, usage
        (0: leave it out), tool (1: call the first tool offered).
        Anything else in the words is left alone.
        """
        told = {name: int(value) for name, value in _CONTROL.findall(words)}
        if not told:
            return self
        usage: dict[str, int] = {n: told[n] for n in ("input", "cached", "output") if n in told}
        change: dict[str, Any] = {n: told[n] for n in ("events", "thinking") if n in told}
        for name, target in (
            ("delay_ms", "delay"),
            ("first_ms", "first_delay"),
            ("plain_ms", "plain_delay"),
        ):
            if name in told:
                change[target] = told[name] / 1000
        if "size" in told:
            change["text"] = ("word " * (told["size"] // 5 + 1))[: told["size"]]
        if "tokens" in told:
            change["tokens_per_event"] = told["tokens"]
        if "per_write" in told:
            change["events_per_write"] = told["per_write"]
        if "usage" in told:
            change["report_usage"] = bool(told["usage"])
        if told.get("tool"):
            change["tools"] = (ToolCall(),)
        if usage:
            change["usage"] = replace(self.usage, **usage)
        return replace(self, **change)


_CONTROL = re.compile(
    r"\b(events|delay_ms|first_ms|plain_ms|size|tokens|input|cached|output|thinking|per_write"
    r"|usage|tool)=(\d{1,9})\b"
)
