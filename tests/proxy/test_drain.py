"""What is read on for a client that has left: it ends in a booking whatever cuts it, and when."""

import asyncio
import json
import uuid
from typing import Any

import pytest

from proxy.call import Call, Cut
from proxy.context import Context
from proxy.protocols import CHAT
from proxy.relay import Relay
from proxy.request import parse
from proxy.responses import Send
from proxy.upstream import Answer
from tests.proxy.test_request import CATALOG
from usage.models import Call as CallRecord


class Booked(Context):
    """Notes what would be booked."""

    def __init__(self) -> None:
        super().__init__()
        self.booked: list[str] = []

    def finish(self, call: Call, status: str, error: str = "") -> asyncio.Task[Any]:
        self.booked.append(status)
        return self.detach(asyncio.sleep(0))


class Refusal:
    """A provider's answer that is none."""

    status = 429
    headers: dict[str, str] = {}
    closed = False

    async def read(self, take: object = None) -> bytes:
        raise AssertionError("nobody needs it")

    def rest(self) -> bytes:
        return b""

    async def finish(self) -> None: ...

    def close(self) -> None:
        self.closed = True


async def _send(_: object) -> None: ...


def relay_of(context: Context) -> Relay:
    body = {"model": "mini", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
    request = parse(CHAT, json.dumps(body).encode(), CATALOG)
    call = Call(uuid.uuid4(), request, CHAT.meter(), 60)
    call.sent = True
    context.open[id(call)] = call
    send: Send = _send
    return Relay(context, call, send, lambda: None)


async def never() -> Answer:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize("when", ["before it begins", "after", "it comes later than the cut"])
async def test_whenever_it_is_cut_the_call_is_booked(when: str) -> None:
    context = Booked()
    relay = relay_of(context)
    pending = asyncio.ensure_future(never())
    if when == "it comes later than the cut":
        context.cut()
    relay._drain(None, pending, Cut.CLIENT_LEFT)
    if when == "after":
        await asyncio.sleep(0)
    if when != "it comes later than the cut":
        context.cut()
    async with asyncio.timeout(2):
        await asyncio.gather(*context._lingering, return_exceptions=True)
        await asyncio.wait([pending])
    assert context.booked == [CallRecord.Status.CANCELED]
    assert pending.cancelled(), "the request is dropped"


@pytest.mark.parametrize("cut", [False, True], ids=["read", "cut before it is"])
async def test_what_the_provider_refused_costs_nothing(cut: bool) -> None:
    context, refusal = Booked(), Refusal()
    relay = relay_of(context)

    async def refused() -> Answer:
        return refusal

    pending = asyncio.ensure_future(refused())
    await asyncio.wait([pending])
    relay._drain(None, pending, Cut.CLIENT_LEFT)
    if cut:
        context.cut()
    await asyncio.gather(*context._lingering, return_exceptions=True)
    assert context.booked == [CallRecord.Status.FAILED]
    assert refusal.closed
