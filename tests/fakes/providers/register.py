"""The provider's own books: what was asked, what was sent, and what it would charge for."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from .behaviour import Usage
from .script import Plan

Outcome = Literal["open", "finished", "cut", "client_left"]


@dataclass(eq=False, slots=True)
class Served:
    """One request and its answer so far. Times are of `time.monotonic`; `ended` is 0 while open.

    `outcome` goes open -> finished (all was sent), cut (a fault ended it) or client_left (the
    client closed the connection first). `plan` is the whole answer, of which `position` frames
    and `bytes_sent` bytes were handed to the connection.
    """

    number: int
    protocol: str
    method: str
    path: str
    headers: dict[str, str]
    raw_head: bytes
    body: bytes
    plan: Plan = field(repr=False)
    model: str = ""
    stream: bool = False
    position: int = 0
    bytes_sent: int = 0
    outcome: Outcome = "open"
    received: float = field(default_factory=time.monotonic)
    first_byte: float = 0.0
    ended: float = 0.0

    @property
    def json(self) -> Any:
        """The request's body, parsed; None when it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def status(self) -> int:
        return self.plan.status

    @property
    def finished(self) -> bool:
        return self.outcome == "finished"

    @property
    def client_closed_early(self) -> bool:
        return self.outcome == "client_left"

    @property
    def events_sent(self) -> int:
        """Whole content events handed to the connection."""
        return self.plan.events[self.position]

    @property
    def tokens_sent(self) -> int:
        """Output tokens generated up to here; those of a half-sent event are not counted."""
        return self.plan.tokens[self.position]

    @property
    def billed(self) -> Usage:
        """What the provider charges: nothing for an error, or before the first event was sent.

        After that, the whole input, and the output up to the cut. See also ``charges_asked``.
        """
        whole = self.plan.usage
        if self.plan.status == 200 and self.plan.behaviour.charges_asked:
            return replace(whole, output=self.plan.tokens[-1])
        if self.plan.status != 200 or not self.position:
            return Usage(input=0, output=0)
        output = self.tokens_sent
        reasoning = min(whole.reasoning, output)
        return replace(whole, output=output, reasoning=reasoning)

    @property
    def input_tokens(self) -> int:
        """Input that is charged, cached and cache-written included."""
        return self.billed.all_input

    @property
    def output_tokens(self) -> int:
        """Output that is charged."""
        return self.billed.output or 0


@dataclass
class Bill:
    """Totals of requests and charged tokens, in the buckets of `Usage`."""

    requests: int = 0
    finished: int = 0
    cut: int = 0
    client_left: int = 0
    refused: int = 0
    input: int = 0
    cached: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0
    audio: int = 0

    def add(self, served: Served) -> None:
        """Count one answer that is over, or as it stands."""
        self.requests += 1
        self.refused += served.status != 200
        if served.outcome != "open":
            setattr(self, served.outcome, getattr(self, served.outcome) + 1)
        billed = served.billed
        for bucket in fields(billed):
            amount = getattr(self, bucket.name) + (getattr(billed, bucket.name) or 0)
            setattr(self, bucket.name, amount)

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


class Register:
    """All `Served` records. Written by the server's thread, read by any.

    With `keep=False` an answer that is over leaves only its sums behind, so that a benchmark of
    any length stays small.
    """

    def __init__(self, *, keep: bool = True) -> None:
        self._changed = threading.Condition()
        self._keep = keep
        self._watchers = 0
        self._records: list[Served] = []
        self._open: set[Served] = set()
        self._past = Bill()
        self._numbers = 0

    def next_number(self) -> int:
        """A number for the next request, from 1; it is never used again."""
        self._numbers += 1
        return self._numbers

    def begin(self, served: Served) -> None:
        """An answer starts."""
        with self._changed:
            self._open.add(served)
            if self._keep:
                self._records.append(served)
        self.changed()

    def end(self, served: Served, outcome: Outcome) -> None:
        """An answer is over. Only the first outcome counts."""
        if served.outcome != "open":
            return
        served.ended = time.monotonic()
        with self._changed:
            served.outcome = outcome
            self._open.discard(served)
            if not self._keep:
                self._past.add(served)
        self.changed()

    def changed(self) -> None:
        """Wake those who wait; costs nothing while nobody does."""
        if self._watchers:
            with self._changed:
                self._changed.notify_all()

    @property
    def records(self) -> list[Served]:
        """A copy of the list, oldest first."""
        with self._changed:
            return list(self._records)

    @property
    def open(self) -> int:
        """How many answers are not over."""
        return len(self._open)

    def bill(self) -> Bill:
        """Totals so far, answers that are still open included."""
        with self._changed:
            total = Bill(**self._past.as_dict())
            for served in self._records if self._keep else self._open:
                total.add(served)
            return total

    def wait_until(self, predicate: Callable[[], object], timeout: float) -> bool:
        """Wait until the predicate is true; False when `timeout` seconds went by first."""
        with self._changed:
            self._watchers += 1
            try:
                return bool(self._changed.wait_for(predicate, timeout))
            finally:
                self._watchers -= 1

    def clear(self) -> None:
        """Forget all; numbers go on."""
        with self._changed:
            self._records.clear()
            self._open.clear()
            self._past = Bill()
