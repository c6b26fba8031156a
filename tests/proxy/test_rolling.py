"""A rolling restart under load, done as ``docs/deploy.md`` says it: two processes accept from one
listening socket that a service manager keeps, and one after the other is ended and started anew,
the next only when the last has said that it is ready."""

import asyncio
import json
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import aiohttp

from tests.fakes.providers import Behaviour, FakeProviders, Fault, Usage
from tests.proxy.by_hand import microcredits
from tests.proxy.conftest import assert_all_settled, assert_log_clean
from tests.proxy.dialects import BOTH, OPENAI, Dialect
from tests.proxy.handed import hand_over
from tests.proxy.riders import Rider
from tests.proxy.server import served, server_environment
from tests.zygote import Launched, launch
from usage.models import Call

CALLERS = 24
INPUT, WORDS = 300, 5
PAUSE = 0.2  # between words: a call lasts a second
STUCK = "gpt-4o"  # a model whose answers stall
RETRIES = 2  # as often as the official SDKs try again
# As long as a call, so that most clients are told in time to leave their connection.
DELAY, SECONDS = 1, 3


class Unit:
    """A web process as systemd keeps it: it is given the socket, and tells how it fares."""

    def __init__(self, environment: dict[str, str], listening: socket.socket, log: Path) -> None:
        self.log = log
        self._listening = listening
        self._notified, address = _addressed(socket.SOCK_DGRAM)
        self._door, self._address = _addressed(socket.SOCK_STREAM)
        self._door.listen()
        self._environment = {**environment, "NOTIFY_SOCKET": address}
        self._process: Launched | None = None

    def start(self) -> None:
        """Returns when the process says that it is ready."""
        self.spawn()
        self.wait_until_ready()

    def spawn(self) -> None:
        self._process = launch(
            "tests.proxy.handed", self._address, "config.asgi:application", *served(),
            "--no-proxy-headers", "--no-access-log", env=self._environment, log=self.log,
        )  # fmt: skip
        hand_over(self._listening.fileno(), self._door)

    def wait_until_ready(self) -> None:
        self._expect(b"READY=1")

    def tell_to_stop(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._expect(b"STOPPING=1")

    def wait(self) -> int:
        """Until it has ended; answers the exit code."""
        assert self._process is not None
        return self._process.wait(DELAY + SECONDS + 30)

    def restart(self) -> tuple[int, float]:
        """``systemctl restart``: exit code of the old process, and the seconds it took to end."""
        began = time.monotonic()
        self.tell_to_stop()
        code = self.wait()
        seconds = time.monotonic() - began
        self.start()
        return code, seconds

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)
        self._notified.close()
        self._door.close()

    def _expect(self, state: bytes) -> None:
        assert self._notified.recv(100) == state


def _addressed(kind: socket.SocketKind) -> tuple[socket.socket, str]:
    """A socket and its address, one that Linux finds for it, as ``NOTIFY_SOCKET`` has them."""
    found = socket.socket(socket.AF_UNIX, kind)
    found.bind("")
    found.settimeout(60)
    return found, found.getsockname().replace(b"\0", b"@", 1).decode()


@dataclass
class Seen:
    """What all callers saw."""

    whole: list[str] = field(default_factory=list)  # receipts
    cut: list[str] = field(default_factory=list)
    refused: int = 0
    trouble: Counter[str] = field(default_factory=Counter)


@contextmanager
def units(fake: FakeProviders, database_url: str, folder: Path) -> Iterator[tuple[int, list[Unit]]]:
    environment = server_environment(
        fake, database_url, SHUTDOWN_DELAY_SECONDS=str(DELAY), SHUTDOWN_SECONDS=str(SECONDS),
        UPSTREAM_TOTAL_SECONDS="120", UPSTREAM_IDLE_SECONDS="60", UPSTREAM_FIRST_EVENT_SECONDS="30",
    )  # fmt: skip
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
        made = [Unit(environment, listening, folder / f"web{n}.log") for n in (1, 2)]
        try:
            for unit in made:
                unit.spawn()
            for unit in made:
                unit.wait_until_ready()
            yield listening.getsockname()[1], made
        finally:
            for unit in made:
                unit.close()


def test_a_rolling_restart_under_load(
    clean_books: bool, fake: FakeProviders, rider: Rider, database_url: str, tmp_path: Path
) -> None:
    fake.script(Behaviour(events=WORDS, delay=PAUSE, usage=Usage(input=INPUT)))
    stall = Behaviour(events=WORDS, usage=Usage(input=INPUT), fault=Fault.stall(2))
    fake.script(stall, model=STUCK)
    with units(fake, database_url, tmp_path) as (port, made):
        seen, ended = asyncio.run(_under_load(port, made, rider, fake))
        for unit in made:
            unit.tell_to_stop()
        codes = [unit.wait() for unit in made]
        assert rider.open_holds() == 0
        logs = "".join(unit.log.read_text() for unit in made)
    assert_log_clean(logs, fake)
    assert [code for code, _ in ended] + codes == [0, 0, 0, 0]
    assert seen.trouble == Counter(), "no connection was refused, reset or broken"

    calls = {str(call.pk): call for call in rider.calls()}
    assert len(calls) == len(seen.whole) + len(seen.cut), "a call each, however often it was tried"
    assert calls.keys() == {*seen.whole, *seen.cut}
    for receipt in seen.whole:
        call = calls[receipt]
        assert (call.status, call.estimated) == (Call.Status.COMPLETED, False)
        assert call.spent == microcredits(call.model, input=INPUT, output=WORDS)
    assert {calls[receipt].status for receipt in seen.cut} == {Call.Status.INTERRUPTED}
    assert {calls[receipt].model for receipt in seen.cut} == {STUCK}
    assert len(fake.requests) == len(calls), "no provider was asked twice"
    assert rider.spent == sum(call.spent for call in calls.values())
    assert len(rider.captures()) == len(calls)
    assert_all_settled(fake)
    print(
        f"\nRolling restart of two processes, {CALLERS} callers: {len(seen.whole)} calls whole, "
        f"{len(seen.cut)} that never end cut at the bound, {seen.refused} refused with 503 and "
        f"whole on another try, 0 failed, 0 billed twice; the processes ended after "
        f"{', '.join(f'{seconds:.1f} s' for _, seconds in ended)}; reconcile is clean"
    )


async def _under_load(
    port: int, made: list[Unit], rider: Rider, fake: FakeProviders
) -> tuple[Seen, list[tuple[int, float]]]:
    seen, enough = Seen(), asyncio.Event()
    ended = []
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        callers = [
            asyncio.create_task(_caller(session, BOTH[n % 2], rider.secret, seen, enough))
            for n in range(CALLERS)
        ]
        # Calls that can't end in time; each is cut by the end of the process that took it.
        callers += [
            asyncio.create_task(_ask(session, OPENAI, rider.secret, seen, model=STUCK))
            for _ in range(6)
        ]
        await _until(lambda: _stalled(fake) == 6, callers)
        for unit in made:
            done = len(seen.whole)
            await _until(partial(_grown, seen.whole, done + CALLERS), callers)
            ended.append(await asyncio.to_thread(unit.restart))
        enough.set()
        await asyncio.gather(*callers)
    return seen, ended


async def _caller(
    session: aiohttp.ClientSession, dialect: Dialect, key: str, seen: Seen, enough: asyncio.Event
) -> None:
    """One call after the other, over connections that are kept."""
    while not enough.is_set():
        await _ask(session, dialect, key, seen)


async def _ask(
    session: aiohttp.ClientSession, dialect: Dialect, key: str, seen: Seen, **more: str
) -> None:
    """One call, tried again where a client is asked to."""
    body = json.dumps(dialect.body(stream=True, **more))
    for _ in range(RETRIES + 1):
        try:
            async with session.post(
                dialect.path, data=body, headers=dialect.headers(key)
            ) as answer:
                if answer.status == 503:
                    seen.refused += 1
                    await answer.read()
                    await asyncio.sleep(int(answer.headers["retry-after"]))
                    continue
                assert answer.status == 200, answer.status
                receipt = answer.headers["x-farebox-call"]
                got = b""
                try:
                    async for part in answer.content.iter_any():
                        got += part
                except aiohttp.ClientPayloadError:
                    assert b"starting anew" in got
                    seen.cut.append(receipt)
                    return
                assert (b"[DONE]" if dialect is OPENAI else b"message_stop") in got
                seen.whole.append(receipt)
                return
        except aiohttp.ClientError as error:
            seen.trouble[type(error).__name__] += 1
            return
    seen.trouble["refused too often"] += 1


def _grown(found: list[str], size: int) -> bool:
    return len(found) >= size


def _stalled(fake: FakeProviders) -> int:
    return sum(one.model == STUCK and one.events_sent == 2 for one in fake.requests)


async def _until(
    condition: Callable[[], bool], tasks: list[asyncio.Task[None]], seconds: float = 60
) -> None:
    """Wait for a condition; a task that fails meanwhile fails the wait."""
    async with asyncio.timeout(seconds):
        while not condition():
            for task in tasks:
                if task.done() and not task.cancelled():
                    task.result()
            await asyncio.sleep(0.02)
