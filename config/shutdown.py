"""How a web process ends: no call is lost, none is billed twice, and none is begun in vain.

``RUNNING``
    until SIGTERM or SIGINT.
``LEAVING``
    for ``SHUTDOWN_DELAY_SECONDS`` all goes on, while ``/readyz`` says 503, so that load balancers
    look elsewhere, and each answer asks its client to open another connection for its next request.
``CLOSED``
    for ``SHUTDOWN_SECONDS``. The listener is closed. What was asked before, or comes as the first
    request of a connection that was taken before, goes on; a call that comes on a connection which
    was used before is refused with 503. Account sockets are closed one by one.
``CUT``
    calls that are still open are cut with their protocol's error event and paid for as far as they
    were delivered. Who does not take even that is dropped ``LAST_WORDS_SECONDS`` later.

The process ends with code 0 as soon as nothing is open, whatever the phase, and once every hold has
ended (``proxy.context``). A second signal ends it at once; leases and the sweep see to its calls
then, as if it had been killed.

All this sits on top of uvicorn's own end, which closes the listener, tells the connections, waits
for them and calls the lifespan's end. Under another server there is only that server's way.
"""

import asyncio
import enum
import os
import signal
import time
from collections.abc import Callable
from types import FrameType

import structlog
from django.conf import settings
from uvicorn import Server
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from config.systemd import notify

log = structlog.get_logger(__name__)

# A service manager may tell a process and its parent, which tells the process again.
ONE_SIGNAL_SECONDS = 1.0
LAST_WORDS_SECONDS = 2.0
# What uvicorn waits beyond the cut before it cancels whatever still runs.
SPARE_SECONDS = 5
# Clients of closed sockets come back somewhere else: at most so many a second, if time allows.
SOCKETS_A_SECOND = 100
MOST_SPREAD_SECONDS = 10.0


class Phase(enum.IntEnum):
    RUNNING = 0
    LEAVING = 1
    CLOSED = 2
    CUT = 3


class Shutdown:
    """The end of this process; there is one, ``stopping``.

    ``spread`` is the time, in seconds, over which account sockets are closed.
    """

    def __init__(self) -> None:
        self.phase = Phase.RUNNING
        self.spread = 0.0
        self._cut: Callable[[], None] = _nothing
        self._server: Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._first: float | None = None
        self._cut_at: float | None = None
        self._task: asyncio.Task[None] | None = None

    def watch(self, cut: Callable[[], None]) -> None:
        """Take uvicorn's signals over, from within its start-up; ``cut`` ends the open calls."""
        handler = signal.getsignal(signal.SIGTERM)
        server = getattr(handler, "__self__", None)
        if not isinstance(server, Server):
            return
        self._cut, self._server = cut, server
        self._loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    @property
    def seconds_left(self) -> float:
        """Until the cut; 0 where there is none to come."""
        if self._cut_at is None:
            return 0.0
        return max(0.0, self._cut_at - time.monotonic())

    def over(self) -> None:
        """Nothing is open any more: the rest of the plan is void."""
        if self._task is not None:
            self._task.cancel()

    def _note(self, number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = now
            assert self._loop is not None
            self._loop.call_soon_threadsafe(self._begin)
        elif now - self._first >= ONE_SIGNAL_SECONDS:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def _begin(self) -> None:
        assert self._server is not None
        self._task = asyncio.create_task(self._run(self._server))

    async def _run(self, server: Server) -> None:
        delay, seconds = settings.SHUTDOWN_DELAY_SECONDS, settings.SHUTDOWN_SECONDS
        connections = server.server_state.connections
        log.info("leaving", connections=len(connections), delay=delay, seconds=seconds)
        self.phase = Phase.LEAVING
        notify("STOPPING=1")
        for connection in list(connections):
            if leave := getattr(connection, "leave", None):
                leave()
        if delay:
            await asyncio.sleep(delay)
        self.phase = Phase.CLOSED
        sockets = sum(isinstance(one, WebSocketsSansIOProtocol) for one in connections)
        self.spread = min(sockets / SOCKETS_A_SECOND, MOST_SPREAD_SECONDS, seconds / 2)
        self._cut_at = time.monotonic() + seconds
        server.config.timeout_graceful_shutdown = seconds + SPARE_SECONDS
        server.should_exit = True  # its next look, a tenth of a second away at most, is for this
        await asyncio.sleep(seconds)
        self.phase = Phase.CUT
        log.warning("cutting what is open", connections=len(connections))
        self._cut()
        await asyncio.sleep(LAST_WORDS_SECONDS)
        for connection in list(connections):
            connection.transport.abort()


def _nothing() -> None:
    pass


stopping = Shutdown()
