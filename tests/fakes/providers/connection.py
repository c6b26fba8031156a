"""One client's connection: reads requests, sends answers. The smooth ones cost little CPU."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from typing import TYPE_CHECKING, cast

from .http11 import MAX_HEAD, BadRequest, Head, take_chunked
from .player import play
from .register import Outcome, Served
from .script import Plan
from .wire import answer_head, writes_of

if TYPE_CHECKING:
    from .server import Server

_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_KEPT_HEADS = 4096


class Connection(asyncio.Protocol):
    """Serves one request at a time; notices at once when its client goes away."""

    __slots__ = (
        "_buffer", "_due", "_head", "_keep_alive", "_ready", "_resumed", "_server",
        "_step_blocked", "_steps", "_transport", "can_chunk", "served", "task",
    )  # fmt: skip

    def __init__(self, server: Server) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._head: Head | None = None
        self.task: asyncio.Task[None] | None = None
        self._resumed: asyncio.Future[None] | None = None
        self._step_blocked = False
        self._ready: list[tuple[bytes, int]] = []
        self._steps = 0
        self._due = 0.0
        self._keep_alive = self.can_chunk = True
        self.served: Served | None = None

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not descend from asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._server.connections.add(self)
        self._server.register.changed()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._server.connections.discard(self)
        if self.task is not None:
            self.task.cancel()
        self._step_blocked = False
        self.resume_writing()
        served, self.served = self.served, None
        if served is not None:
            self._server.register.end(served, "client_left")
        else:
            self._server.register.changed()

    def eof_received(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def pause_writing(self) -> None:
        self._resumed = self._server.loop.create_future()

    def resume_writing(self) -> None:
        if self._resumed is not None:
            self._resumed.set_result(None)
            self._resumed = None
        if self._step_blocked:
            self._step_blocked = False
            self._step()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self.served is None:
            self._advance()

    # Reading.

    def _advance(self) -> None:
        """Serve the next request, if the whole of it is there."""
        if self._transport is None or self.served is not None:
            return
        try:
            taken = self._take()
        except BadRequest:
            self._transport.write(_BAD_REQUEST)
            self._transport.close()
            return
        if taken is not None:
            self._head = None
            self._serve(*taken)

    def _take(self) -> tuple[Head, bytes] | None:
        buffer, head = self._buffer, self._head
        if head is None:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(buffer) > MAX_HEAD:
                    raise BadRequest("head too long")
                return None
            raw = bytes(buffer[:end])
            head = self._server.heads.get(raw)
            if head is None:
                head = Head(raw)
                if len(self._server.heads) >= _KEPT_HEADS:
                    self._server.heads.clear()
                self._server.heads[raw] = head
            del buffer[: end + 4]
            self._head = head
            if head.expects_continue and self._transport and not buffer:
                self._transport.write(_CONTINUE)
        if head.chunked:
            body = take_chunked(buffer)
            return None if body is None else (head, body)
        if len(buffer) < head.length:
            return None
        body = bytes(buffer[: head.length])
        del buffer[: head.length]
        return head, body

    def _serve(self, head: Head, body: bytes) -> None:
        if head.path.startswith("/_fake/"):
            self._control(head)
            return
        self.can_chunk, self._keep_alive = head.is_http_11, head.keep_alive
        served = self.served = self._server.kitchen.serve(head, body)
        plan = served.plan
        if not plan.behaviour.is_smooth:
            self.task = self._server.loop.create_task(play(self, plan))
            return
        wait = plan.behaviour.first_delay if served.stream else plan.behaviour.plain_delay
        if wait:
            self._server.wheel.at(self._server.loop.time() + wait, self._start)
        else:
            self._start()

    def _control(self, head: Head) -> None:
        if head.path == "/_fake/reset":
            self._server.reset()
        register = self._server.register
        shown = register.bill().as_dict() | {"open": register.open}
        body = json.dumps(shown).encode()
        assert self._transport is not None
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            % (len(body), body)
        )
        if not head.keep_alive:
            self._transport.close()

    # Sending a smooth answer: one write a step, nothing made up on the way.

    def _start(self) -> None:
        served = self.served
        if served is None or self._transport is None:
            return
        plan = served.plan
        chunked = plan.streamed and self.can_chunk
        ready = plan.ready.get(chunked)
        if ready is None:
            ready = plan.ready[chunked] = writes_of(plan, chunked=chunked)
        self._ready = ready
        self._steps = 1
        self._due = self._server.loop.time()
        data, served.position = ready[0]
        length = None if plan.streamed else len(data)
        served.first_byte = time.monotonic()
        self._send(served, self._head_bytes(plan, length) + data)

    def _step(self) -> None:
        served = self.served
        if served is None:
            return
        if self._resumed is not None:
            self._step_blocked = True
            return
        data, served.position = self._ready[self._steps]
        self._steps += 1
        self._send(served, data)

    def _send(self, served: Served, data: bytes) -> None:
        assert self._transport is not None
        served.bytes_sent += len(data)
        if self._steps == len(self._ready):
            # First the record, so that a client that has it all finds it finished.
            self._server.register.end(served, "finished")
            self._transport.write(data)
            self.end("finished")
            return
        self._transport.write(data)
        self._server.register.changed()
        delay = served.plan.behaviour.delay
        if delay and served.position < served.plan.closing:
            self._due += delay
            self._server.wheel.at(self._due, self._step)
        else:
            self._server.loop.call_soon(self._step)

    # What the player of the other answers uses.

    def write(self, data: bytes) -> None:
        """Hand bytes to the socket."""
        served = self.served
        if self._transport is not None and served is not None:
            if not served.first_byte:
                served.first_byte = time.monotonic()
            served.bytes_sent += len(data)
            self._transport.write(data)

    def write_head(self, plan: Plan, length: int | None) -> None:
        """Send status and headers; without a length the body is chunked, or ends with the
        connection."""
        self.write(self._head_bytes(plan, length))

    async def drain(self) -> None:
        """Wait while the client reads too slowly."""
        if self._resumed is not None:
            await asyncio.shield(self._resumed)

    def sent_up_to(self, position: int) -> None:
        """Note that so many frames were sent."""
        if self.served is not None:
            self.served.position = position
            self._server.register.changed()

    def end(self, outcome: Outcome, *, close: bool = False) -> None:
        """The answer is over; the connection goes on to the next request, or closes."""
        served, self.served, self.task = self.served, None, None
        transport = self._transport
        if served is None or transport is None:
            return
        if close or not self._keep_alive:
            transport.close()
        elif self._buffer:
            self._server.loop.call_soon(self._advance)
        self._server.register.end(served, outcome)

    def reset(self, outcome: Outcome) -> None:
        """Break the connection off with a TCP reset."""
        if self._transport is not None:
            sock: socket.socket = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
        served, self.served, self.task = self.served, None, None
        if served is not None:
            self._server.register.end(served, outcome)

    def abort(self) -> None:
        """Close at once, for the end of a test."""
        if self._transport is not None:
            self._transport.abort()

    def _head_bytes(self, plan: Plan, length: int | None) -> bytes:
        served = self.served
        assert served is not None
        key = (length, self.can_chunk, self._keep_alive)
        head = plan.heads.get(key)
        if head is None:
            head = plan.heads[key] = answer_head(plan, served.protocol, *key)
        return head % served.number
