"""Cuts a stream of bytes into awkward pieces. No I/O."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from itertools import cycle, pairwise

from .behaviour import Split

_SPOTS = {
    # After each byte of a multi-byte character that is not its last.
    "utf8": re.compile(rb"[\x80-\xff](?=[\x80-\xbf])"),
    # Between the two bytes of \r\n, and between two line ends.
    "newline": re.compile(rb"[\r\n](?=[\r\n])"),
}


class Slicer:
    """Pieces of the sizes that `split` names, whatever the sizes of what is fed.

    Sized pieces run on over the writes that they come from: what is too short for the next piece
    waits for more, or for `flush`.
    """

    def __init__(self, split: Split | None, seed: int = 0) -> None:
        self._spots = _SPOTS.get(split) if isinstance(split, str) else None
        self._sizes: Iterator[int] | None = None
        if isinstance(split, int):
            self._sizes = cycle((split,))
        elif isinstance(split, tuple):
            self._sizes = cycle(split)
        elif split == "random":
            chance = random.Random(seed)
            self._sizes = iter(lambda: chance.randint(1, 64), 0)
        self._next = next(self._sizes) if self._sizes else 0
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces that are whole now."""
        if self._spots is not None:
            cuts = [0, *(match.end() for match in self._spots.finditer(data)), len(data)]
            return [data[a:b] for a, b in pairwise(cuts) if a < b]
        if self._sizes is None:
            return [data] if data else []
        data, at, pieces = self._rest + data, 0, []
        while len(data) - at >= self._next:
            pieces.append(data[at : at + self._next])
            at += self._next
            self._next = next(self._sizes)
        self._rest = data[at:]
        return pieces

    def flush(self) -> list[bytes]:
        """What is left."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []
