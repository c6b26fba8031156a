"""Events that need no second look go to the client at once; all others are left to the task."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from common.ids import uuid7
from proxy.call import Call, Cut
from proxy.delivery import Delivery
from proxy.meter import ChatMeter
from proxy.passing import ClientGone, Passing
from proxy.sse import Splitter

WORD = b'data: {"choices":[{"delta":{"content":"word "}}]}\n\n'


class Server:
    """An ASGI server's side: takes what is sent once ``writable`` is set, or raises ``error``."""

    def __init__(self) -> None:
        self.writable = asyncio.Event()
        self.writable.set()
        self.error: Exception | None = None
        self.got: list[bytes] = []

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if not self.writable.is_set():
            await self.writable.wait()
        if self.error is not None:
            raise self.error
        self.got.append(message["body"])


def begun(server: Server) -> tuple[Passing, Call, Splitter]:
    """A stream whose first event has passed."""
    meter = ChatMeter()
    meter.feed(WORD)
    call = Call(uuid7(), None, meter, 60.0)
    splitter = Splitter(1_000)
    return Passing(call, Delivery(meter, "", ""), splitter, server.send), call, splitter


async def test_text_passes_at_once_and_is_counted() -> None:
    server = Server()
    passing, call, _ = begun(server)
    assert passing.take(WORD * 3) is True
    assert server.got == [WORD * 3]
    assert call.meter.text_bytes == 4 * len("word ")
    assert call.overdue is Cut.UPSTREAM_STALLED


LEFT = {
    "a piece": WORD[:-1],
    "usage": b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n',
    "an error": b'data: {"error":{"message":"no"}}\n\n',
    "the word": WORD.replace(b"word", b"error"),
    "the end": b"data: [DONE]\n\n",
}


@pytest.mark.parametrize("chunk", LEFT.values(), ids=LEFT)
async def test_what_may_be_more_than_text_is_left_untouched(chunk: bytes) -> None:
    server = Server()
    passing, call, _ = begun(server)
    assert passing.take(chunk) is False
    assert server.got == []
    assert (call.meter.text_bytes, call.meter.done, call.meter.failed) == (5, False, False)


async def test_nothing_overtakes_an_event_in_pieces() -> None:
    server = Server()
    passing, _, splitter = begun(server)
    splitter.feed(WORD[:10])
    assert passing.take(WORD[10:]) is False
    assert server.got == []


async def test_a_client_that_waits_is_waited_for_as_a_client() -> None:
    server = Server()
    passing, call, _ = begun(server)
    server.writable.clear()
    rest = passing.take(WORD)
    assert not isinstance(rest, bool)
    assert (server.got, call.overdue) == ([], Cut.CLIENT_STALLED)
    asyncio.get_running_loop().call_soon(server.writable.set)
    await rest
    assert (server.got, call.overdue) == ([WORD], Cut.UPSTREAM_STALLED)


async def test_a_wait_can_be_cancelled() -> None:
    server = Server()
    passing, _, _ = begun(server)
    server.writable.clear()
    rest = passing.take(WORD)
    assert not isinstance(rest, bool)

    async def waits() -> None:
        await rest

    task = asyncio.create_task(waits())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert server.got == []


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("error", [OSError("gone"), RuntimeError("closed")])
async def test_a_client_that_has_gone_is_told_in_the_task(error: Exception, later: bool) -> None:
    server = Server()
    passing, _, _ = begun(server)
    server.error = error
    if later:
        server.writable.clear()
        asyncio.get_running_loop().call_soon(server.writable.set)
    rest = passing.take(WORD)
    assert not isinstance(rest, bool)
    with pytest.raises(ClientGone):
        await rest
