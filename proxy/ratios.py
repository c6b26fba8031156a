"""Bytes per token, learned per model from completed calls; what estimates are made with.

A process adds what it learns to the database now and then, as sums, and takes over the sums of
all. Until a model is known it counts as four bytes a token, with the weight of a thousand tokens.
"""

from collections.abc import Iterable
from typing import Any

import psycopg

_PRIOR_TOKENS = 1_000
_PRIOR_BYTES = 4 * _PRIOR_TOKENS

_SAVE = """
INSERT INTO usage_tokenratio AS r (model, input_bytes, input_tokens, output_bytes, output_tokens)
VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (model) DO UPDATE SET
    input_bytes = r.input_bytes + excluded.input_bytes,
    input_tokens = r.input_tokens + excluded.input_tokens,
    output_bytes = r.output_bytes + excluded.output_bytes,
    output_tokens = r.output_tokens + excluded.output_tokens
"""
_LOAD = "SELECT model, input_bytes, input_tokens, output_bytes, output_tokens FROM usage_tokenratio"

Sums = list[int]  # input bytes, input tokens, output bytes, output tokens


class Ratios:
    """Sums by model: those of all processes at the last look, and this one's since then."""

    def __init__(self) -> None:
        self._known: dict[str, Sums] = {}
        self._new: dict[str, Sums] = {}

    def learn(
        self, model: str, input_bytes: int, input_tokens: int, output_bytes: int, output_tokens: int
    ) -> None:
        """Add a completed call whose tokens the provider counted."""
        sums = self._new.setdefault(model, [0, 0, 0, 0])
        for place, value in enumerate((input_bytes, input_tokens, output_bytes, output_tokens)):
            sums[place] += value

    def input_tokens(self, model: str, text_bytes: int) -> int:
        """The tokens that so many bytes of a request are likely to be."""
        return self._estimate(model, 0, text_bytes)

    def output_tokens(self, model: str, text_bytes: int) -> int:
        """The tokens that so many bytes of generated text are likely to be."""
        return self._estimate(model, 2, text_bytes)

    def _estimate(self, model: str, place: int, text_bytes: int) -> int:
        known = self._known.get(model, (0, 0, 0, 0))
        new = self._new.get(model, (0, 0, 0, 0))
        size = known[place] + new[place] + _PRIOR_BYTES
        tokens = known[place + 1] + new[place + 1] + _PRIOR_TOKENS
        return -(-text_bytes * tokens // size)

    async def exchange(self, conn: psycopg.AsyncConnection[Any]) -> None:
        """Save what is new, and load what all processes have learned.

        What a failure interrupts is kept for the next time.
        """
        for model in list(self._new):
            sums = self._new.pop(model)  # a call that ends meanwhile starts a new sum
            try:
                await conn.execute(_SAVE, [model, *sums])
            except psycopg.Error:
                self.learn(model, *sums)
                raise
        cursor = await conn.execute(_LOAD)
        self._known = _by_model(await cursor.fetchall())


def _by_model(rows: Iterable[Any]) -> dict[str, Sums]:
    return {row[0]: list(row[1:]) for row in rows}
