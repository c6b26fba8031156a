"""What the official SDKs try again by themselves is billed once, over every route."""

import asyncio
from contextlib import asynccontextmanager
from typing import Any

import httpx
import httpx2
import openai
import pytest

from tests.fakes.providers import Behaviour, FakeProviders, Usage
from tests.proxy.riders import Rider
from tests.proxy.sdk_routes import (
    ROUTES,
    Route,
    Sdk,
    assert_paid_for_what_the_provider_charged,
    at_once,
    warm,
)
from tests.proxy.server import Farebox
from usage.models import Call

__all__ = ["warm"]
pytestmark = pytest.mark.xdist_group("proxy-sdks")
OK = Behaviour(usage=Usage(input=100, output=10))
# What is below the SDKs, whose breaks in mid-stream they do not all wrap.
BROKEN = (httpx.TransportError, httpx2.TransportError)

HICCUPS = {
    "500": Behaviour(status=500),
    "502": Behaviour(status=502, html=True),
    "503": Behaviour(status=503, retry_after="1"),
    "429": Behaviour(status=429, retry_after="1"),
    "529": Behaviour(status=529, retry_after="1"),
}


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
def test_a_retry_after_a_hiccup_is_billed_once(
    farebox: Farebox, fake: FakeProviders, rider: Rider, stream: bool
) -> None:
    """With the SDKs' own two retries."""
    routes = [r for r in ROUTES.values() if r.paid and (r.streams or not stream)]
    more = {"stream": True} if stream else {}

    async def one(route: Route, sdk: Sdk) -> None:
        for hiccup in HICCUPS.values():
            fake.once(hiccup, OK, model=route.model)
            await route(sdk, **more)

    at_once(routes, farebox, rider, one)
    assert len(fake.requests) == 2 * len(HICCUPS) * len(routes)
    whole = {route.model: len(HICCUPS) for route in routes}
    assert_paid_for_what_the_provider_charged(rider, fake, whole)
    failed = [call for call in rider.calls() if call.status != Call.Status.COMPLETED]
    assert len(failed) == len(HICCUPS) * len(routes)
    assert {(call.status, call.spent) for call in failed} == {(Call.Status.FAILED, 0)}


def test_the_same_key_twice_at_once_is_billed_once(
    farebox: Farebox, fake: FakeProviders, rider: Rider
) -> None:
    """The second waits as 409 asks for, tries again by itself, and learns of the first's end."""
    routes = [route for route in ROUTES.values() if route.paid]
    fake.script(Behaviour(plain_delay=1.2, usage=Usage(input=100, output=10)))

    async def one(route: Route, sdk: Sdk) -> None:
        same = {"extra_headers": {"Idempotency-Key": f"of {route.model}"}}
        answers = await asyncio.gather(
            route(sdk, **same), route(sdk, **same), return_exceptions=True
        )
        (error,) = [answer for answer in answers if isinstance(answer, Exception)]
        assert isinstance(error, route.of.ConflictError), error
        assert int(error.request.headers["x-stainless-retry-count"]) >= 1
        assert error.response.headers["x-should-retry"] == "false"

    at_once(routes, farebox, rider, one)
    assert len(fake.requests) == len(routes)
    assert_paid_for_what_the_provider_charged(rider, fake, {route.model: 1 for route in routes})


@asynccontextmanager
async def breaking(farebox: Farebox, *, times: int, after: bytes) -> Any:
    """The address of a way to Farebox that resets so many connections: at once, or once ``after``
    has come back."""
    left, tasks = times, set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal left
        task = asyncio.current_task()
        tasks.add(task)
        breaks = left > 0
        left -= breaks
        try:
            if breaks and not after:
                await reader.readuntil(b"\r\n\r\n")
                writer.transport.abort()
                return
            back, forth = await asyncio.open_connection("127.0.0.1", farebox.port)
            passing = asyncio.create_task(pass_on(reader, forth))
            seen = b""
            try:
                while part := await back.read(2**16):
                    writer.write(part)
                    await writer.drain()
                    seen += part
                    if breaks and after in seen:
                        writer.transport.abort()
                        return
            finally:
                passing.cancel()
                forth.close()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            tasks.discard(task)

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while part := await reader.read(2**16):
            writer.write(part)
            await writer.drain()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


def by_way_of(url: str, sdk: Sdk) -> Sdk:
    """The same client at another address."""
    return sdk.with_options(base_url=f"{url}/v1" if isinstance(sdk, openai.AsyncOpenAI) else url)


def test_a_connection_that_breaks_before_the_call_is_billed_once(
    farebox: Farebox, fake: FakeProviders, rider: Rider
) -> None:
    fake.script(OK)
    routes = [route for route in ROUTES.values() if route.paid]

    async def one(route: Route, sdk: Sdk) -> None:
        async with breaking(farebox, times=2, after=b"") as url:
            await route(by_way_of(url, sdk))

    at_once(routes, farebox, rider, one)
    assert_paid_for_what_the_provider_charged(rider, fake, {route.model: 1 for route in routes})


def test_a_stream_that_breaks_on_its_way_is_not_asked_for_again(
    farebox: Farebox, fake: FakeProviders, rider: Rider
) -> None:
    """What came is paid for, once; the SDK says that it is not whole."""
    fake.script(Behaviour(events=100, delay=0.02, usage=Usage(input=100)))
    routes = [route for route in ROUTES.values() if route.streams]

    async def one(route: Route, sdk: Sdk) -> None:
        async with breaking(farebox, times=1, after=b"word") as url:
            with pytest.raises((route.of.APIError, *BROKEN)):
                await route(by_way_of(url, sdk), stream=True)

    at_once(routes, farebox, rider, one)
    fake.wait_until(lambda: fake.open == 0)
    assert len(fake.requests) == len(routes)
    calls = {call.model: call for call in rider.settled(len(routes))}
    assert set(calls) == {route.model for route in routes}
    assert {call.status for call in calls.values()} == {Call.Status.CANCELED}
    assert rider.spent == sum(call.spent for call in calls.values())
    assert len(rider.captures()) == len(routes)
