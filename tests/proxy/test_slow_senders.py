"""Clients that send, or read, as slowly as they can: they are let go, and slow nobody down."""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import httpx
import psutil
import pytest

from common.errors import Unavailable
from ledger.reconcile import reconcile
from proxy.responses import read_body, waiting
from tests.proxy.crowd import ask, asking, run
from tests.proxy.dialects import ANTHROPIC, OPENAI
from tests.proxy.riders import Rider
from tests.proxy.server import ROOT, Farebox, wait_for
from tests.proxy.wire import Wire, request
from usage.models import Call

pytestmark = pytest.mark.xdist_group("proxy-crowds")
MEGABYTE = 2**20
HEAD_SECONDS, BODY_SECONDS = 3, 1  # the server's


def test_a_head_that_does_not_come_in_time_is_refused(farebox: Farebox) -> None:
    """Nor is one that drips, nor what is left of a request that has its answer."""
    head = request(ANTHROPIC, "fb_any", b"")[:-10]
    rest = request(OPENAI, "not a key", b"x" * 100, path="/v1/nothing")[:-50]
    with ExitStack() as opened:
        wire, silent, again, drips, answered = (
            opened.enter_context(Wire(farebox)) for _ in range(5)
        )
        wire.send(head)
        again.send(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n")
        assert again.read_answer()[0] == 401
        again.send(head)  # a connection that has served is no better
        answered.send(rest)
        assert answered.read_answer()[0] == 404
        drips.send(b"POST /v1/chat/completions HTTP/1.1\r\nx-more: ")
        _drip_until_closed(drips, answered)
        assert drips.got.startswith(b"HTTP/1.1 400 ")
        for one in (wire, again):
            status, headers, body = one.read_answer()
            assert status == 400
            assert b"headers did not arrive in time" in body
            assert headers["request-id"]
            assert one.is_closed_by_server(2)
        assert silent.is_closed_by_server(2), "and who says nothing is not kept either"


def _drip_until_closed(*wires: Wire) -> None:
    """A byte now and then over each, until the server has closed them all."""
    began = time.monotonic()
    left = list(wires)
    while left:
        for wire in list(left):
            wire.socket.settimeout(0.1)
            try:
                wire.send(b"x")
                part = wire.socket.recv(4096)
                wire.got += part
            except TimeoutError:
                assert time.monotonic() - began < 2 * HEAD_SECONDS
                continue
            except (BrokenPipeError, ConnectionResetError):
                wire.read_all()  # what it had said before
                part = b""
            if not part:
                left.remove(wire)


@pytest.mark.parametrize("part", [b"x", b"x: y\r\n"], ids=["one header", "very many"])
def test_a_head_without_an_end_is_refused(farebox: Farebox, part: bytes) -> None:
    with Wire(farebox) as wire:
        wire.send(b"POST /v1/chat/completions HTTP/1.1\r\nx-more: y\r\nx-long: ")
        try:
            for _ in range(200):
                wire.send(part * (8_192 // len(part)))
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = wire.read_all()
        assert not answer or answer.startswith(b"HTTP/1.1 413 ")  # a reset may overtake it
        assert wire.is_closed_by_server(1)


class Slow:
    """A body whose parts come when the test says so."""

    def __init__(self) -> None:
        self._parts: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        self.read = asyncio.ensure_future(read_body(self._parts.get, {}))

    async def sends(self, size: int, *, more: bool = True) -> None:
        self._parts.put_nowait({"type": "http.request", "body": b"x" * size, "more_body": more})
        for _ in range(5):  # turns of the loop, in which it is taken
            await asyncio.sleep(0)


def test_bodies_that_are_not_whole_share_a_bound(settings: Any) -> None:
    settings.MAX_WAITING_BYTES = 3 * MEGABYTE

    async def share() -> None:
        first, second, third, small = Slow(), Slow(), Slow(), Slow()
        await first.sends(2 * MEGABYTE)
        await second.sends(MEGABYTE)
        await third.sends(MEGABYTE)
        with pytest.raises(Unavailable) as refused:
            await third.read
        assert refused.value.retry_after
        await small.sends(60_000)
        await small.sends(10, more=False)
        assert len(await small.read) == 60_010, "small ones pass, whatever is waited for"
        await first.sends(5, more=False)
        assert len(await first.read) == 2 * MEGABYTE + 5
        fourth = Slow()
        await fourth.sends(MEGABYTE)
        second.read.cancel()
        await fourth.sends(0, more=False)
        assert len(await fourth.read) == MEGABYTE, "there is room again"

    before = waiting.bytes
    asyncio.run(share())
    assert waiting.bytes == before, "nothing is counted twice, or for ever"


# The crowd: 500 senders, half of whose heads and half of whose bodies drip, and 200 who read not.
# What the readers are sent is more than all buffers on its way hold. What else the machine does may
# hold up good streams, too: so they are tried again, for what the slow ones do, they do each time.
Sockets = list[socket.socket]
SENDERS, READERS, GOOD, ROUNDS, TRIES = 500, 200, 50, 2, 4
GAP = 0.02
LITTLE, MUCH = "events=10 delay_ms=20", "events=100 delay_ms=5 size=16000"


@contextmanager
def connected(farebox: Farebox, sent: list[bytes], *, receive_buffer: int = 0) -> Iterator[Sockets]:
    """A connection for each of ``sent``, which is sent."""
    sockets: Sockets = []
    try:
        for data in sent:
            sock = socket.socket()
            if receive_buffer:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            sock.connect(("127.0.0.1", farebox.port))
            sock.setblocking(False)
            sock.send(data)
            sockets.append(sock)
            if receive_buffer:
                time.sleep(0.01)  # a burst of them would wait for the database, and be told so
        yield sockets
    finally:
        for sock in sockets:
            sock.close()


async def _drip(sockets: Sockets) -> None:
    """A byte now and then, from all who are still let."""
    while True:
        for number, sock in enumerate(sockets):
            try:
                sock.send(b"x" if number % 2 else b"h")
            except OSError:
                pass  # it was let go
            if number % 50 == 0:
                await asyncio.sleep(0)
        await asyncio.sleep(0.5)


async def _good(servers: list[Farebox], rider: Rider, dripping: Sockets) -> list[float]:
    """The p99, at each server, of the seconds to the first byte of good streams, one begun after
    the other, beside the others."""
    doors = asyncio.Semaphore(len(servers) * GOOD)
    data = asking(OPENAI, rider.secret, words=LITTLE)
    others = asyncio.ensure_future(_drip(dripping)) if dripping else None
    streams = []
    for _ in range(GOOD * ROUNDS):
        streams += [asyncio.ensure_future(ask(one.port, data, doors)) for one in servers]
        await asyncio.sleep(GAP)
    seen = await asyncio.gather(*streams)
    if others is not None:
        others.cancel()
    assert all(one.status == 200 and one.whole for one in seen)
    count = len(servers)
    return [p99(sorted(one.first for one in seen[at::count])) for at in range(count)]


def p99(times: list[float]) -> float:
    return times[-(-len(times) * 99 // 100) - 1]


@pytest.fixture
def provider() -> Iterator[str]:
    """The fake providers as a process, so that the clients here are measured and not they."""
    argv = [sys.executable, "-m", "tests.fakes.providers", "--port", "0"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
        process.terminate()


def test_good_streams_do_not_feel_the_slow_ones(
    own_farebox: Callable[..., Farebox], provider: str, rider: Rider
) -> None:
    """The readers may stall for longer here than all of this lasts."""
    # The other one has no slow ones: what else the machine does holds up its streams as well.
    farebox, other = (
        own_farebox(
            CLIENT_STALL_SECONDS="200",
            UPSTREAM_TOTAL_SECONDS="200",
            OPENAI_BASE_URL=f"{provider}/v1",
            ANTHROPIC_BASE_URL=provider,
        )
        for _ in range(2)
    )

    def all_stalled() -> bool:
        """Whether the provider has told all, most of it to buffers on the way, and no call ends."""
        bill = httpx.get(f"{provider}/_fake/bill").json()
        return bill["requests"] == wanted and not bill["open"] and rider.open_holds() == READERS

    wanted = READERS + 3 * GOOD * ROUNDS
    process = psutil.Process(farebox.pid)
    run(_good([farebox, other], rider, []))  # warms up
    (alone,) = run(_good([farebox], rider, []))
    before = process.memory_info().rss
    stalled = asking(ANTHROPIC, rider.secret, words=MUCH)
    heads = request(OPENAI, rider.secret, b"")[:-2]
    bodies = asking(OPENAI, rider.secret, size=4_000)[:-3_000]
    gains: list[float] = []
    with connected(farebox, [stalled] * READERS, receive_buffer=4_096):
        wait_for(all_stalled, 60, "every reader is stalled")
        while len(gains) < TRIES and (not gains or gains[-1] >= 0.25):
            with connected(farebox, [heads, bodies] * (SENDERS // 2)) as sockets:
                beside, apart = run(_good([farebox, other], rider, sockets))
                gains.append(beside - max(alone, apart))
                most = process.memory_info().rss
                wait_for(lambda: rider.open_holds() == READERS, 10, "all readers are still there")
                wait_for(partial(_are_let_go, sockets), 60, "the senders were let go")
    print(
        f"first byte, p99: {1000 * alone:.0f} ms alone, {1000 * beside:.0f} ms beside the slow "
        f"ones, {1000 * apart:.0f} ms at another process meanwhile (tried {len(gains)} times); "
        f"memory {before / MEGABYTE:.0f} MB, then {most / MEGABYTE:.0f} MB"
    )
    assert gains[-1] < 0.25, gains
    assert most - before < READERS * MEGABYTE, "two reads of the loop are held for each, at most"
    slow = Call.objects.filter(model=ANTHROPIC.model)
    wait_for(lambda: slow.count() == READERS, 30, "the calls of the readers are booked")
    assert set(slow.values_list("status", flat=True)) == {Call.Status.CANCELED}
    assert Call.objects.count() == READERS + (3 + 2 * len(gains)) * GOOD * ROUNDS, (
        "no slow sender has begun a call"
    )
    assert reconcile().violations == []


def _are_let_go(sockets: Sockets) -> bool:
    return all(map(_is_let_go, sockets))


def _is_let_go(sock: socket.socket) -> bool:
    """Whether the server has closed, once all that it sent is read."""
    try:
        while True:
            if not sock.recv(65_536):
                return True
    except BlockingIOError:
        return False
    except OSError:
        return True
