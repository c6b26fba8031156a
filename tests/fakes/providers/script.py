"""What an answer says and what it costs, before any protocol gives it a shape. No I/O."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, Literal

from .behaviour import Behaviour, Usage

Ended = Literal["stop", "length", "tool"]


class Refused(Exception):
    """A request that the provider refuses; `kind` overrides the error type that `status` has."""

    def __init__(
        self, status: int, message: str, *, kind: str = "", code: str = "", param: str = ""
    ) -> None:
        super().__init__(message)
        self.status, self.message = status, message
        self.kind, self.code, self.param = kind, code, param


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request asks for, in either protocol. `limit` bounds the output tokens of a choice."""

    protocol: Literal["openai", "anthropic"]
    model: str
    stream: bool
    limit: int | None
    choices: int
    include_usage: bool
    tools: tuple[str, ...]
    words: str


@dataclass(frozen=True, slots=True)
class Piece:
    """One content event. `block` numbers the part of the answer that it belongs to."""

    kind: Literal["thinking", "text", "tool"]
    block: int
    text: str
    tokens: int
    tool: str = ""


@dataclass(frozen=True, slots=True)
class Script:
    """The whole answer: its pieces, and `hidden` tokens billed before the first of them."""

    pieces: tuple[Piece, ...]
    hidden: int
    ended: Ended
    usage: Usage

    def joined(self) -> list[Piece]:
        """One piece a block, for a plain answer."""
        blocks: dict[int, Piece] = {}
        for piece in self.pieces:
            before = blocks.get(piece.block)
            blocks[piece.block] = (
                replace(before, text=before.text + piece.text) if before else piece
            )
        return list(blocks.values())


def compose(behaviour: Behaviour, ask: Ask) -> Script:
    """The script of one choice. Its usage is exact, and within the limit that was asked for."""
    said = _said(behaviour, ask)
    usage = behaviour.usage
    hidden, reasoning = usage.reasoning, usage.reasoning
    each = behaviour.tokens_per_event
    if ask.protocol == "openai":
        hidden += behaviour.thinking * each
        reasoning = hidden
    total = hidden + each * len(said) if usage.output is None else usage.output
    reasoning = hidden = min(hidden, total)
    if not said:
        hidden = total
    ended: Ended = "tool" if any(kind == "tool" for kind, *_ in said) else "stop"
    shares = _spread(total - hidden, len(said))
    if ask.limit is not None and total > ask.limit:
        ended, total = "length", ask.limit
        hidden, reasoning = min(hidden, total), min(reasoning, total)
    pieces, left = [], total - hidden
    for (kind, block, text, tool), share in zip(said, shares, strict=True):
        if ended == "length" and left <= 0:
            break
        kept = min(share, left)
        if kept < share:
            text = text[: math.ceil(len(text) * kept / share)]
        pieces.append(Piece(kind, block, text, kept, tool))
        left -= kept
    if ask.protocol == "anthropic":
        reasoning += sum(piece.tokens for piece in pieces if piece.kind == "thinking")
    return Script(tuple(pieces), hidden, ended, replace(usage, output=total, reasoning=reasoning))


def _said(behaviour: Behaviour, ask: Ask) -> list[tuple[Any, int, str, str]]:
    said: list[tuple[Any, int, str, str]] = []
    if ask.protocol == "anthropic":
        said += [("thinking", 0, "hm ", "")] * behaviour.thinking
    said += [("text", 1, behaviour.text_at(i), "") for i in range(behaviour.events)]
    for block, tool in enumerate(behaviour.tools if ask.tools else (), start=2):
        text = json.dumps(dict(tool.arguments), ensure_ascii=False)
        size = math.ceil(len(text) / max(1, tool.parts))
        name = tool.name or ask.tools[0]
        said += [("tool", block, text[i : i + size], name) for i in range(0, len(text), size)]
    return said


def _spread(total: int, parts: int) -> list[int]:
    """`total` in `parts` integers as even as they can be: 10 in 4 is 2, 3, 2, 3."""
    if not parts:
        return []
    sums = [total * (i + 1) // parts for i in range(parts)]
    return [after - before for before, after in zip([0, *sums], sums, strict=False)]


@dataclass(frozen=True, slots=True)
class Frame:
    """Bytes of one event, the output tokens billed once it is sent, and whether it is content."""

    data: bytes
    tokens: int = 0
    content: bool = False


class Plan:
    """An answer ready to be sent: frames, and how each counts.

    `tokens[n]` and `events[n]` are the sums once n frames were sent. `closing` is the number of
    the first frame after the last content. `usage` is that of the whole answer.
    """

    __slots__ = (
        "behaviour", "closing", "content_type", "error_frame", "events", "frames", "headers",
        "heads", "open_line", "ping_frame", "ready", "status", "streamed", "tokens", "usage",
    )  # fmt: skip

    def __init__(
        self,
        frames: list[Frame],
        behaviour: Behaviour,
        *,
        status: int = 200,
        streamed: bool = False,
        content_type: str = "application/json",
        headers: tuple[tuple[str, str], ...] = (),
        usage: Usage | None = None,
    ) -> None:
        self.frames = frames
        self.behaviour = behaviour
        self.status = status
        self.streamed = streamed
        self.content_type = content_type
        self.headers = headers
        self.usage = usage or Usage(input=0, output=0)
        self.tokens = list(accumulate((f.tokens for f in frames), initial=0))
        self.events = list(accumulate((f.content for f in frames), initial=0))
        content = [i for i, frame in enumerate(frames) if frame.content]
        self.closing = content[-1] + 1 if content else max(0, len(frames) - 1)
        self.error_frame = self.ping_frame = self.open_line = b""
        # What the connection makes of them once, to send them often.
        self.heads: dict[tuple[int | None, bool, bool], bytes] = {}
        self.ready: dict[bool, list[tuple[bytes, int]]] = {}

    def groups(self) -> list[tuple[int, int]]:
        """Frames that go out in one write, as (first, end): opening, content, closing."""
        step = self.behaviour.events_per_write
        starts, seen = [0], 0
        for i, frame in enumerate(self.frames[: self.closing]):
            if frame.content:
                if i and (seen % step == 0 if step else seen == 0):
                    starts.append(i)
                seen += 1
        if 0 < self.closing < len(self.frames):
            starts.append(self.closing)
        ends = [*starts[1:], len(self.frames)]
        return list(zip(starts, ends, strict=True))

    def fault_frame(self) -> int:
        """The number of the frame before which the fault strikes; -1 without one."""
        fault = self.behaviour.fault
        if fault is None:
            return -1
        if fault.at in ("status", "headers"):
            return 0
        if fault.at == "done":
            return len(self.frames)
        if fault.at == "end" or not self.streamed:
            return len(self.frames) - 1
        assert isinstance(fault.at, int)
        content = [i for i, frame in enumerate(self.frames) if frame.content]
        return content[fault.at] if fault.at < len(content) else self.closing
