"""Sends an answer that is not smooth: compressed, sliced, or breaking in some way."""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING

from .behaviour import Behaviour, Fault
from .http11 import LAST_CHUNK, chunk
from .script import Plan
from .slicer import Slicer

if TYPE_CHECKING:
    from .connection import Connection

_FLOOD_WRITE = 64 * 1024
# Time for the client to read what came before a reset, which may otherwise overtake it.
_BEFORE_RESET = 0.02


class _Body:
    """The answer's body on its way out: compressed, sliced and framed, in that order."""

    def __init__(self, connection: Connection, behaviour: Behaviour, *, chunked: bool) -> None:
        self._connection = connection
        self._chunked = chunked
        self._pause = behaviour.split_pause
        self._slicer = Slicer(behaviour.split, behaviour.seed)
        self._gzip = zlib.compressobj(wbits=31) if behaviour.gzip else None

    async def send(self, data: bytes) -> None:
        if self._gzip and data:
            data = self._gzip.compress(data) + self._gzip.flush(zlib.Z_SYNC_FLUSH)
        await self._write(self._slicer.feed(data))

    async def flush(self) -> None:
        await self._write(self._slicer.flush())

    async def end(self) -> None:
        if self._gzip:
            await self._write(self._slicer.feed(self._gzip.flush()))
        await self.flush()
        if self._chunked:
            self._connection.write(LAST_CHUNK)

    async def _write(self, pieces: list[bytes]) -> None:
        for number, piece in enumerate(pieces):
            if number:
                await asyncio.sleep(self._pause)
            self._connection.write(chunk(piece) if self._chunked else piece)
            await self._connection.drain()


async def play(connection: Connection, plan: Plan) -> None:
    """Send the whole answer, or as much of it as the fault lets through."""
    behaviour, fault, served = plan.behaviour, plan.behaviour.fault, connection.served
    assert served is not None
    wait = behaviour.first_delay if served.stream else behaviour.plain_delay
    if wait:
        await asyncio.sleep(wait)
    length = _length(plan)
    if fault and fault.at == "status":
        bare = _Body(connection, Behaviour(), chunked=False)
        return await _strike(connection, plan, fault, bare)
    body = _Body(connection, behaviour, chunked=length is None and connection.can_chunk)
    connection.write_head(plan, length)
    strikes_at = plan.fault_frame()
    clock = asyncio.get_running_loop().time
    due = clock()
    for first, end in plan.groups():
        if behaviour.delay and first and first < plan.closing:
            due += behaviour.delay
            await asyncio.sleep(max(0.0, due - clock()))
        strikes = fault is not None and first <= strikes_at < end
        end = strikes_at if strikes else end
        data = b"".join(frame.data for frame in plan.frames[first:end])
        if strikes and fault and fault.mid_event:
            following = plan.frames[end].data
            data += following[: len(following) // 2]
        await body.send(data)
        if strikes and fault:
            await body.flush()
            connection.sent_up_to(end)
            return await _strike(connection, plan, fault, body, framed=length is None)
        connection.sent_up_to(end)
    if fault:
        await body.flush()
        return await _strike(connection, plan, fault, body, framed=length is None)
    await body.end()
    if behaviour.missing_bytes:
        connection.end("cut", close=True)
    else:
        connection.end("finished")


def _length(plan: Plan) -> int | None:
    """The Content-Length to declare; None where there is none to tell."""
    behaviour = plan.behaviour
    if behaviour.gzip or (behaviour.fault and behaviour.fault.does == "flood"):
        return None
    if plan.streamed and not behaviour.missing_bytes:
        return None
    return sum(len(frame.data) for frame in plan.frames) + behaviour.missing_bytes


async def _strike(
    connection: Connection, plan: Plan, fault: Fault, body: _Body, *, framed: bool = False
) -> None:
    if fault.does == "stall":
        while True:
            if not fault.ping or fault.at == "status":
                await asyncio.get_running_loop().create_future()
            await asyncio.sleep(fault.ping)
            await body.send(plan.ping_frame)
            await body.flush()
    if fault.does == "flood":
        await _flood(plan, fault, body)
        connection.end("cut", close=True)
    elif fault.does == "error":
        await body.send(plan.error_frame)
        await body.end()
        connection.end("cut")
    elif fault.how == "reset":
        await asyncio.sleep(_BEFORE_RESET)
        connection.reset("cut")
    elif fault.how == "clean" and framed:
        await body.end()
        connection.end("cut")
    else:
        connection.end("cut", close=True)


async def _flood(plan: Plan, fault: Fault, body: _Body) -> None:
    await body.send(plan.open_line)
    clock = asyncio.get_running_loop().time
    began, sent = clock(), 0
    size = min(_FLOOD_WRITE, max(1, fault.rate // 50)) if fault.rate else _FLOOD_WRITE
    while sent < fault.bound:
        part = min(size, fault.bound - sent)
        await body.send(b"x" * part)
        sent += part
        late = clock() - began - sent / fault.rate if fault.rate else 0.0
        await asyncio.sleep(max(0.0, -late))
    await body.flush()
