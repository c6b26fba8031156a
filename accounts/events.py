"""Telling open sockets that something happened: fire and forget, after commit, from any process.

``changed(user)`` says that a user's balance or plan may be another now, ``publish(user, "job",
{...})`` hands an event on as it is, ``access_changed(user)`` asks a user's sockets to look whether
they may stay. All three wait for the commit of Django's transaction; ``hint`` is ``changed`` for
code that has committed by other means, the proxy's.

What is sent for a balance or a plan is only a hint: the process that holds the socket reads the
database after it (``accounts.hub``), so however hints are late, doubled or crossed, what a client
hears last is never stale.

A call here costs a lock and a set, and nothing else: one thread a process sends what has gathered,
at most ten times a second, in messages to all web processes. While Valkey is away hints wait, up
to a bound, and events are lost; hubs look for themselves every few seconds. Nothing here raises.
"""

import asyncio
import atexit
import hashlib
import os
import threading
import time
from collections.abc import Mapping
from typing import Any

import orjson
import structlog
from channels.layers import get_channel_layer
from django.db import connection, transaction
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

MESSAGE = "account.events"

EVERY_SECONDS = 0.1  # the least time between two sendings of a process
SEND_SECONDS = 2.0
AWAY_SECONDS = 1.0  # between attempts while Valkey is away
EXIT_SECONDS = 2.0
CHUNK = 1000  # users a message
MOST_BYTES = 16 * 1024  # of one event
EVENTS_CHUNK = 50
MOST_HINTS = 100_000
MOST_EVENTS = 1_000


def changed(user: int) -> None:
    """Balance or plan of ``user`` changed in the transaction that is open, if one is."""
    transaction.on_commit(lambda: hint(user), robust=True)


def hint(user: int) -> None:
    """Balance or plan of ``user`` changed, and that is committed. May be called anywhere."""
    _outbox.add(changed=user)


def access_changed(user: int, **_: Any) -> None:
    """``user`` may have lost access in the transaction that is open, if one is. Takes what the
    signal ``accounts.access.access_lost`` sends."""
    transaction.on_commit(lambda: _outbox.add(access=user), robust=True)


def publish(user: int, kind: str, body: Mapping[str, Any]) -> None:
    """Send ``{"type": kind, kind: body}`` to every socket of ``user`` after the commit.

    The body is taken as JSON as it is now. Its ``"id"``, if any, names what it is about: of several
    that a slow socket has waiting about one thing, only the last is sent. Those of two processes
    may cross, so let one process tell of one thing. What is larger than ``MOST_BYTES`` (a result,
    say) has an address of its own to be fetched from; it is not sent, and logged.
    """
    if (event := _event(user, kind, body)) is not None:
        transaction.on_commit(lambda: _outbox.add(event=event), robust=True)


def tell(user: int, kind: str, body: Mapping[str, Any]) -> None:
    """``publish`` of what is committed. May be called anywhere."""
    if (event := _event(user, kind, body)) is not None:
        _outbox.add(event=event)


def _event(user: int, kind: str, body: Mapping[str, Any]) -> "Event | None":
    text = orjson.dumps({"type": kind, kind: body}, default=str)
    if len(text) > MOST_BYTES:
        log.error("an account event is too large to be sent", kind=kind, bytes=len(text))
        return None
    about = f"{kind}:{body['id']}" if "id" in body else kind
    return user, about, text.decode()


def group() -> str:
    """The group that every web process with a socket is in. It goes by the database's name, so
    that deployments which share a Valkey do not hear of each other's users."""
    name = str(connection.settings_dict["NAME"])
    return f"account-events-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


Event = tuple[int, str, str]  # the user, what it is about, its text


class _Outbox:
    """What waits to be sent, and the thread that sends it; made anew in a forked child."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._filled = threading.Event()
        self._thread: threading.Thread | None = None
        self._ending = False
        self._away = False
        self._changed: set[int] = set()
        self._access: set[int] = set()
        self._events: list[Event] = []

    def add(
        self,
        *,
        changed: int | None = None,
        access: int | None = None,
        event: Event | None = None,
    ) -> None:
        with self._lock:
            if changed is not None and len(self._changed) < MOST_HINTS:
                self._changed.add(changed)
            if access is not None and len(self._access) < MOST_HINTS:
                self._access.add(access)
            if event is not None and len(self._events) < MOST_EVENTS:
                self._events.append(event)
            if self._thread is None and not self._start():
                return
        if not self._filled.is_set():
            self._filled.set()

    def _start(self) -> bool:
        # Imported here, not by the thread: a fork in the midst of that would leave the child with
        # a module that is locked for ever.
        get_channel_layer()
        thread = threading.Thread(target=self._work, name="account-events", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no thread can be had; the next caller tries again
            return False
        self._thread = thread
        return True

    def _work(self) -> None:
        # One loop for the thread's life: the channel layer keeps a connection for each loop.
        with asyncio.Runner() as runner:
            while not self._ending:
                self._filled.wait()
                began = time.monotonic()
                self._filled.clear()
                pause = EVERY_SECONDS if runner.run(self._send()) else AWAY_SECONDS
                # A sleep that the end of the process cuts short.
                while not self._ending and (left := began + pause - time.monotonic()) > 0:
                    time.sleep(min(left, EVERY_SECONDS))
            runner.run(self._send())

    async def _send(self) -> bool:
        """Send all there is; answers whether Valkey took it."""
        with self._lock:
            changed, self._changed = self._changed, set()
            access, self._access = self._access, set()
            events, self._events = self._events, []
        layer = get_channel_layer()
        try:
            async with asyncio.timeout(SEND_SECONDS):
                for message in _messages(changed, access, events):
                    await layer.group_send(group(), message)
        except (RedisError, OSError, TimeoutError, RuntimeError) as error:
            if not self._away:  # said once an outage
                log.warning("account events are not sent", error=type(error).__name__)
            self._away = True
            with self._lock:
                self._changed |= changed
                self._access |= access
            self._filled.set()
            return False
        if self._away:
            log.info("account events are sent again")
        self._away = False
        return True

    def end(self) -> None:
        """Send what is left, within seconds, and stop."""
        self._ending = True
        self._filled.set()
        if self._thread is not None:
            self._thread.join(EXIT_SECONDS)


def _messages(changed: set[int], access: set[int], events: list[Event]) -> list[dict[str, Any]]:
    """Those of access first: somebody is to be shut out."""
    parts: list[tuple[str, list[Any], int]] = [
        ("access", list(access), CHUNK),
        ("changed", list(changed), CHUNK),
        ("events", [list(event) for event in events], EVENTS_CHUNK),
    ]
    return [
        {"type": MESSAGE, name: rows[start : start + chunk]}
        for name, rows, chunk in parts
        for start in range(0, len(rows), chunk)
    ]


_outbox = _Outbox()


def _begin_anew() -> None:
    """A forked child has no thread, and what waits is its parent's to send."""
    global _outbox
    _outbox = _Outbox()


os.register_at_fork(after_in_child=_begin_anew)
atexit.register(lambda: _outbox.end())
