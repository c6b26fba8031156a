"""Bytes per token, learned per model from completed calls; what estimates are made with.

A process adds what it learns to the database now and then, as sums, and takes over the sums of
all, so that a restart forgets nothing. Until a model is known it counts as four bytes a token,
with the weight of a thousand tokens.

Of streams there is more to learn from than bytes. Bytes per token differ by what is said: twice as
many in English as in a table or in JSON. Many providers, though, send a token an event, or so many
of them on average, whatever they say. So a stream's tokens are taken for ``a * bytes + b *
events``, with the two rates of a model that fit its completed streams best (least squares, each
stream weighted by its length): where events tell nothing, bytes alone are left.

Sums are of integers, and so are estimates: exact fractions, rounded up once.
"""

from collections.abc import Iterable
from fractions import Fraction
from math import ceil
from typing import Any

import psycopg

_PRIOR_TOKENS = 1_000
_PRIOR_BYTES = 4 * _PRIOR_TOKENS
# Sums of fractions are kept in thousandths.
_SCALE = 1_000
# What is known of events before anything is learned: that they tell nothing, with the weight of one
# event a byte.
_PRIOR_EVENTS = _SCALE
# A stream is never taken for more than so many times its tokens by bytes alone, nor for less than
# that part of them: should a provider begin to send its tokens otherwise, that bounds the harm.
_MOST_APART = 2

_COLUMNS = (
    "input_bytes", "input_tokens", "output_bytes", "output_tokens",
    "stream_bytes", "stream_tokens", "stream_events", "event_squares", "event_tokens",
)  # fmt: skip
_SAVE = f"""
INSERT INTO usage_tokenratio AS r (model, {", ".join(_COLUMNS)})
VALUES (%s{", %s" * len(_COLUMNS)})
ON CONFLICT (model) DO UPDATE SET {", ".join(f"{c} = r.{c} + excluded.{c}" for c in _COLUMNS)}
"""
_LOAD = f"SELECT model, {', '.join(_COLUMNS)} FROM usage_tokenratio"
_NOTHING = (0,) * len(_COLUMNS)

Sums = list[int]  # in the order of the columns; see ``usage.models.TokenRatio``


class Ratios:
    """Sums by model: those of all processes at the last look, and this one's since then."""

    def __init__(self) -> None:
        self._known: dict[str, Sums] = {}
        self._new: dict[str, Sums] = {}

    def learn(
        self,
        model: str,
        input_bytes: int,
        input_tokens: int,
        output_bytes: int,
        output_tokens: int,
        events: int = 0,
    ) -> None:
        """Add a completed call whose tokens the provider counted; of a stream, with the events
        that its text came in."""
        sums = [input_bytes, input_tokens, output_bytes, output_tokens]
        if events and output_bytes:
            squares = events * events * _SCALE // output_bytes
            tokens = events * output_tokens * _SCALE // output_bytes
            sums += [output_bytes, output_tokens, events, squares, tokens]
        else:
            sums += [0] * (len(_COLUMNS) - len(sums))
        self._add(model, sums)

    def input_tokens(self, model: str, text_bytes: int) -> int:
        """The tokens that so many bytes of a request are likely to be."""
        tokens, size = _by_bytes(self._sums(model)[:2])
        return -(-text_bytes * tokens // size)

    def output_tokens(self, model: str, text_bytes: int, events: int = 0) -> int:
        """The tokens that so many bytes of generated text are likely to be, and of a stream, in so
        many events."""
        sums = self._sums(model)
        tokens, size = _by_bytes(sums[2:4])
        plain = Fraction(text_bytes * tokens, size)
        if not events or not sums[4]:
            return ceil(plain)
        found = _fitted(sums[4:], text_bytes, events)
        found = max(plain / _MOST_APART, min(found, plain * _MOST_APART))
        # The fewer streams there were, the less is the fit believed.
        known = sums[5]
        return ceil((found * known + plain * _PRIOR_TOKENS) / (known + _PRIOR_TOKENS))

    def _sums(self, model: str) -> Sums:
        known, new = self._known.get(model, _NOTHING), self._new.get(model, _NOTHING)
        return [a + b for a, b in zip(known, new, strict=True)]

    def _add(self, model: str, sums: Sums) -> None:
        mine = self._new.setdefault(model, list(_NOTHING))
        for place, value in enumerate(sums):
            mine[place] += value

    async def exchange(self, conn: psycopg.AsyncConnection[Any]) -> None:
        """Save what is new, and load what all processes have learned.

        What a failure interrupts is kept for the next time.
        """
        for model in list(self._new):
            sums = self._new.pop(model)  # a call that ends meanwhile starts a new sum
            try:
                await conn.execute(_SAVE, [model, *sums])
            except psycopg.Error:
                self._add(model, sums)
                raise
        cursor = await conn.execute(_LOAD)
        self._known = _by_model(await cursor.fetchall())


def _by_bytes(sums: Sums) -> tuple[int, int]:
    """Tokens and the bytes that they were, with the first guess."""
    return sums[1] + _PRIOR_TOKENS, sums[0] + _PRIOR_BYTES


def _fitted(sums: Sums, text_bytes: int, events: int) -> Fraction:
    """Tokens by the two rates that fit the streams best: the normal equations, solved by Cramer's
    rule. Each stream counts by its bytes, so that they hold sums of bytes (bb), events (be) and
    tokens (bt), and of what its events come to a byte: times events (ee) and times tokens (et)."""
    bb, bt, be, ee, et = sums
    bb, bt, be, ee = bb * _SCALE, bt * _SCALE, be * _SCALE, ee + _PRIOR_EVENTS
    below = bb * ee - be * be
    if below <= 0:  # can't be, but by what rounding took off
        return Fraction(text_bytes * bt, bb)
    return Fraction(text_bytes * (bt * ee - be * et) + events * (bb * et - be * bt), below)


def _by_model(rows: Iterable[Any]) -> dict[str, Sums]:
    return {row[0]: list(row[1:]) for row in rows}
