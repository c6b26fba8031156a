"""What one web process does for all its account sockets together.

Sockets of many users share everything that costs: one subscription in Valkey, one thread with one
database connection, and each look at the database answers for all users it concerns. A look is
taken when hints came in (``accounts.events``), some hundredths of a second after the last one; and
of each user every ``SOCKET_REFRESH_SECONDS`` in any case, for hints that were lost, credentials
that expired, and sign-ins ended by hand. One look follows another, so what is read last is newest,
and what a socket hears last is never stale.

A hub belongs to the event loop in which its first socket joined.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Protocol

import orjson
import structlog
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import DatabaseError

from accounts import events
from accounts.access import Credential
from accounts.look import Read, State, look

log = structlog.get_logger(__name__)

GATHER_SECONDS = 0.05  # between two looks
TICK_SECONDS = 1.0  # between two searches for users who were not looked at for long
AWAY_SECONDS = 1.0
JOIN_SECONDS = 10.0  # how long a socket waits for its first message while the database is away
BATCH = 1000  # users a look
SOCKETS_PER_USER = 20

SIGNED_OUT = 4401
TOO_MANY = 4429
TRY_LATER = 1013


class Socket(Protocol):
    """What a hub knows of a socket. Neither method waits, and both may be called at any time."""

    credential: Credential

    def put(self, about: str, text: str) -> None:
        """Send ``text``; in place of what still waits to be sent ``about`` the same."""

    def shut(self, code: int, reason: str) -> None:
        """Close."""


class Hub:
    """``read`` answers the states of users, in the hub's thread."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._sockets: dict[int, set[Socket]] = {}
        self._told: dict[int, State] = {}  # what the sockets of a user were told last
        self._looked: dict[int, float] = {}  # when, by the loop's clock
        self._joining: dict[Socket, float] = {}
        self._count: Counter[int] = Counter()  # sockets of a user, the joining ones too
        self._changed: set[int] = set()
        self._suspect: set[int] = set()
        self._wake = asyncio.Event()
        self._away = False
        self._tasks: list[asyncio.Task[None]] = []
        self._thread: ThreadPoolExecutor | None = None

    def join(self, socket: Socket) -> None:
        """Take a socket in: it gets its first message soon, or is shut."""
        user = socket.credential.user
        if self._count[user] >= SOCKETS_PER_USER:
            socket.shut(TOO_MANY, "too many sockets are open for this account; close one")
            return
        self._start()
        self._count[user] += 1
        self._joining[socket] = time.monotonic()
        self._wake.set()

    def leave(self, socket: Socket) -> None:
        """Forget a socket, however far it came. May be called again."""
        user = socket.credential.user
        mine = self._sockets.get(user, set())
        if self._joining.pop(socket, None) is None and socket not in mine:
            return
        mine.discard(socket)
        self._count[user] -= 1
        if not self._count[user]:
            del self._count[user]
        if not mine:
            for kept in (self._sockets, self._told, self._looked):
                kept.pop(user, None)

    async def stop(self) -> None:
        """End the hub's tasks and its thread, when the server has closed the sockets."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)
            self._thread = None

    def _start(self) -> None:
        if self._tasks:
            return
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="account-hub")
        loops: list[Coroutine[Any, Any, None]] = [self._listen(), self._serve(), self._tick()]
        self._tasks = [asyncio.create_task(loop) for loop in loops]

    # --- Hints ---------------------------------------------------------------------------------

    async def _listen(self) -> None:
        """Take what ``accounts.events`` sends, for as long as the process lives.

        The channel layer subscribes again by itself when Valkey was away; only a start without
        it fails here.
        """
        layer = get_channel_layer()
        said = False
        while True:
            try:
                channel = await layer.new_channel()
                await layer.group_add(events.group(), channel)
                said = False
                while True:
                    self._take(await layer.receive(channel))
            except Exception as error:  # whatever it is, the ears must not close for good
                if not said:  # once an outage
                    log.warning("account events are not heard", error=type(error).__name__)
                said = True
                with suppress(Exception):
                    await layer.flush()
                await asyncio.sleep(AWAY_SECONDS)

    def _take(self, message: Mapping[str, Any]) -> None:
        here = self._sockets.keys()
        self._suspect |= here & set(message.get("access", ()))
        self._changed |= here & set(message.get("changed", ()))
        if self._suspect or self._changed:
            self._wake.set()
        for user, about, text in message.get("events", ()):
            self._tell(user, about, text)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            before = now - settings.SOCKET_REFRESH_SECONDS
            due = {user for user, looked in self._looked.items() if looked < before}
            self._changed |= due
            self._suspect |= due
            for socket in [s for s, since in self._joining.items() if since < now - JOIN_SECONDS]:
                self.leave(socket)
                socket.shut(TRY_LATER, "the service can't reach its database; try again shortly")
            if due:
                self._wake.set()

    # --- Looks ---------------------------------------------------------------------------------

    async def _serve(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._joining or self._changed or self._suspect:
                try:
                    done = await self._look()
                except Exception:  # of one look; there will be others
                    log.exception("a look for the account sockets failed")
                    done = False
                await asyncio.sleep(GATHER_SECONDS if done else AWAY_SECONDS)

    async def _look(self) -> bool:
        """Look once, for at most ``BATCH`` users; answers whether the database did."""
        changed = _some(self._changed)
        suspect = _some(self._suspect)
        joining = list(self._joining)[:BATCH]
        checked = joining + [s for user in suspect for s in self._sockets.get(user, ())]
        users = {user for user in changed if user in self._sockets}
        users |= {socket.credential.user for socket in joining}
        assert self._thread is not None
        began = time.monotonic()
        try:
            ended, states = await asyncio.get_running_loop().run_in_executor(
                self._thread, look, self._read, [s.credential for s in checked], list(users)
            )
        except (DatabaseError, OSError) as error:
            if not self._away:  # said once an outage
                log.warning("account sockets wait for the database", error=type(error).__name__)
            self._away = True
            self._changed |= changed
            self._suspect |= suspect
            return False
        self._away = False
        for place in ended:
            self.leave(checked[place])
            checked[place].shut(SIGNED_OUT, "signed out")
        self._tell_states(states, joining, users, began)
        return True

    def _tell_states(
        self,
        states: Mapping[int, State],
        joining: list[Socket],
        users: set[int],
        looked: float,
    ) -> None:
        """Tell each user's sockets what is new since they were told last, the joining ones all."""
        for user in users & self._sockets.keys():
            state, told = states.get(user), self._told[user]
            if state is None:  # deleted
                for socket in list(self._sockets[user]):
                    self.leave(socket)
                    socket.shut(SIGNED_OUT, "signed out")
                continue
            self._told[user], self._looked[user] = state, looked
            if state.balance != told.balance:
                message = {"type": "balance", "balance": state.balance_body()}
                self._tell(user, "balance", _json(message))
            if state.plan != told.plan:
                message = {"type": "subscription", "plan": state.plan_body()}
                self._tell(user, "subscription", _json(message))
        arrived: dict[int, list[Socket]] = defaultdict(list)
        for socket in joining:
            if socket in self._joining:  # it has not left meanwhile
                arrived[socket.credential.user].append(socket)
        for user, sockets in arrived.items():
            state = states.get(user)
            text = "" if state is None else _json({"type": "state", **state.body()})
            for socket in sockets:
                if state is None:
                    self.leave(socket)
                    socket.shut(SIGNED_OUT, "signed out")
                    continue
                del self._joining[socket]
                self._told[user], self._looked[user] = state, looked
                self._sockets.setdefault(user, set()).add(socket)
                socket.put("state", text)

    def _tell(self, user: int, about: str, text: str) -> None:
        for socket in list(self._sockets.get(user, ())):  # one may be dropped, and leave
            socket.put(about, text)


def _some(users: set[int]) -> set[int]:
    """Take at most ``BATCH`` of them out."""
    taken = set(list(users)[:BATCH]) if len(users) > BATCH else set(users)
    users -= taken
    return taken


def _json(message: Mapping[str, Any]) -> str:
    return orjson.dumps(message).decode()
